"""Kinds of networks of other programs: recognise their files and load them."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pancascade.errors import UnknownModelError
from pancascade.files.documents import shortened
from pancascade.inference.external.network import ExternalNetwork

ExternalKind = Literal["nnunet", "monai", "torchscript", "onnx"]


def kind_of(path: Path) -> ExternalKind | None:
    """Return the kind of a file or folder by its name and content; None for none of these kinds."""
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
    """Load a network of another program.

    Args:
        kind: Kind of network.
        path: File or folder.
        device: Where it runs, as torch names it.
        orientation: Orientation of the scan for nnU-Net (only); None uses that of its own reader.

    Raises:
        UnknownModelError: It is missing or incomplete, segments no pancreas, needs more than a CT, or its library is
            not installed.
        CheckpointError: Its weights are damaged.
    """
    if not path.exists():
        raise UnknownModelError(
            f"{shortened(path.name, 80)}: there is no such file or folder. Check the model's steps."
        )
    if orientation is not None and kind != "nnunet":
        raise UnknownModelError(f"{shortened(path.name, 80)}: orientation is an option for nnU-Net only. Remove it.")
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
"""Function that loads a network, by the kind of a model's step."""
