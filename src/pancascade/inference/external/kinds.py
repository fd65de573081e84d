"""Which kinds of networks of other programs there are, how their files are known, and what loads them."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pancascade.errors import UnknownModelError
from pancascade.files.documents import shortened
from pancascade.inference.external.network import ExternalNetwork

ExternalKind = Literal["nnunet", "monai", "torchscript", "onnx"]


def kind_of(path: Path) -> ExternalKind | None:
    """What a file or folder is, by its name and by what lies in it; None for none of these."""
    try:
        if path.is_dir():
            if (path / "plans.json").is_file() or any(path.glob("fold_*/checkpoint_*.pth")):
                return "nnunet"
            return "monai" if (path / "configs" / "metadata.json").is_file() else None
        if not path.is_file():
            return None
    except OSError:
        return None
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        return "onnx"
    return "torchscript" if suffix in (".ts", ".pt", ".torchscript") else None


def load_external(kind: ExternalKind, path: Path, *, device: str, orientation: str | None = None) -> ExternalNetwork:
    """A network of another program.

    Args:
        kind: Of it.
        path: File or folder.
        device: Where it runs, as torch names it.
        orientation: How the scan is turned for it, of nnU-Net alone: None as its own reader has it.

    Raises:
        UnknownModelError: It is missing or incomplete, finds no pancreas, needs more than a CT, or its library is not
            installed.
        CheckpointError: Its weights are damaged.
    """
    if not path.exists():
        raise UnknownModelError(
            f"{shortened(path.name, 80)}: there is no such file or folder. Check the model's steps."
        )
    if orientation is not None and kind != "nnunet":
        raise UnknownModelError(f"{shortened(path.name, 80)}: orientation is for nnU-Net alone. Leave it out.")
    return LOADERS[kind](path, device, orientation)


def _nnunet(path: Path, device: str, orientation: str | None) -> ExternalNetwork:
    from pancascade.inference.external.nnunet import NNUNetNetwork

    return NNUNetNetwork(path, device=device, orientation=orientation)


def _monai(path: Path, device: str, orientation: str | None) -> ExternalNetwork:
    from pancascade.inference.external.monai_bundle import MonaiBundleNetwork

    return MonaiBundleNetwork(path, device=device)


def _torchscript(path: Path, device: str, orientation: str | None) -> ExternalNetwork:
    from pancascade.inference.external.torchscript import TorchScriptNetwork

    return TorchScriptNetwork(path, device=device)


def _onnx(path: Path, device: str, orientation: str | None) -> ExternalNetwork:
    from pancascade.inference.external.onnx_file import OnnxNetwork

    return OnnxNetwork(path, device=device)


LOADERS: dict[ExternalKind, Callable[[Path, str, str | None], ExternalNetwork]] = {
    "nnunet": _nnunet,
    "monai": _monai,
    "torchscript": _torchscript,
    "onnx": _onnx,
}
"""What loads a network, by the kind of a model's step."""
