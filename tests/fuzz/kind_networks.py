"""Networks of other programs: a file with a description beside it, and folders of nnU-Net and MONAI."""

import io
import pickle
import warnings
import zipfile
from functools import cache
from pathlib import Path
from random import Random
from shutil import copytree
from tempfile import mkdtemp
from typing import Any

import torch
from byte_mutations import damaged
from file_mutations import replace_file
from fuzz_kind import Answer, Kind
from kind_results import tree
from text_mutations import mutated_json
from tiny_model import SHAPE, mask_answer, write_scan

ONNX, SCRIPT = "net/net.onnx", "net/net.ts"
DESCRIPTION = {"axes": "LPS", "clip_hu": [-100, 240], "patch": [22, 36, 12], "labels": {"pancreas": [1], "tumour": [2]}}
AROUND = "--backend torch --keep-doubtful --out out"
OTHERS = {
    "gone": lambda _: b"gone",
    "a folder": lambda _: None,
    "a pickle": lambda _: pickle.dumps({"a": 1}),
    "an LFS pointer": lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    "page of HTML": lambda _: b"<!DOCTYPE html><html></html>",
}


class _Networks(Kind):
    """A scan and a network; its texts and its weights are damaged."""

    texts: tuple[str, ...]
    weights: tuple[str, ...]

    def mutate(self, folder: Path, random: Random) -> str:
        draw = random.random()
        if draw < 0.5:
            name = random.choice(self.texts)
            what, content = mutated_json((folder / name).read_bytes(), random)
        else:
            name = random.choice(self.weights)
            if draw < 0.65:
                return f"{name} {replace_file(folder / name, random, OTHERS)}"
            what, content = damaged((folder / name).read_bytes(), random)
        (folder / name).write_bytes(content)
        return f"{name} {what}"

    def answer(self, folder: Path, command: str) -> Answer:
        return mask_answer(folder / "out")

    def excused(self, folder: Path, command: str, answer: Answer, good: Path) -> bool:
        """A text says something else, or weights whose format knows no checksum do, of the same scan."""
        texts = any(tree(folder / name) != tree(good / name) for name in self.texts)
        weights = any(_changed_unseen(folder / name, good / name) for name in self.weights)
        return answer["grid"] == mask_grid(good) and (texts or weights)


class NetworkFiles(_Networks):
    """ONNX and TorchScript."""

    name = "networks"
    share = 8
    commands = (
        f"segment scan.nii.gz --model {ONNX} {AROUND}",
        f"segment scan.nii.gz --model {SCRIPT} {AROUND}",
    )
    needs = ("onnx", "onnxruntime")
    texts = ("net/net.json",)
    weights = (ONNX, SCRIPT)

    def build(self, folder: Path) -> None:
        from onnx_models import by_brightness

        write_scan(folder / "scan.nii.gz")
        (folder / "net").mkdir()
        by_brightness(folder / ONNX, **DESCRIPTION)
        (folder / SCRIPT).write_bytes(_script())


class NNUNetFolders(_Networks):
    """A results folder of nnU-Net."""

    name = "nnunet"
    share = 4
    commands = (f"segment scan.nii.gz --model nnunet {AROUND}",)
    needs = ("nnunetv2",)
    least_count = 1000
    texts = ("nnunet/dataset.json", "nnunet/plans.json")
    weights = ("nnunet/fold_0/checkpoint_final.pth",)

    def build(self, folder: Path) -> None:
        from nnunet_folders import write_folder

        write_scan(folder / "scan.nii.gz")
        write_folder(folder / "nnunet")

    def mutate(self, folder: Path, random: Random) -> str:
        while True:
            kept = {name: (folder / name).read_bytes() for name in self.texts}
            what = super().mutate(folder, random)
            if not _is_large(tree(folder / "nnunet/plans.json")):
                return what
            for name, content in kept.items():
                (folder / name).write_bytes(content)


class MonaiBundles(_Networks):
    """A bundle of MONAI."""

    name = "bundles"
    share = 4
    commands = (f"segment scan.nii.gz --model bundle {AROUND}",)
    needs = ("monai",)
    least_count = 1000
    texts = ("bundle/configs/metadata.json", "bundle/configs/inference.json")
    weights = ("bundle/models/model.pt",)

    def build(self, folder: Path) -> None:
        copytree(_bundle(), folder, dirs_exist_ok=True)


def mask_grid(good: Path) -> object:
    """Of the scan, by nibabel."""
    import nibabel as nib
    import numpy as np

    image = nib.load(good / "scan.nii.gz")
    return image.shape, np.round(image.affine, 3).tolist()


def _changed_unseen(path: Path, good: Path) -> bool:
    """Whether a file holds other bytes, and its own format has nothing against them."""
    try:
        if path.read_bytes() == good.read_bytes():
            return False
        if path.suffix == ".onnx":
            return True
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, ValueError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError):
        return False


def _is_large(plans: Any) -> bool:
    """Whether plans may be right, and ask for more than a moment's work."""
    try:
        one = plans["configurations"]["3d_fullres"]
        return any(0 < float(step) < 1 for step in one["spacing"]) or any(int(side) > 64 for side in one["patch_size"])
    except (TypeError, KeyError, ValueError, OverflowError):
        return False


@cache
def _script() -> bytes:
    """The network of the ONNX file, as TorchScript."""
    network = torch.nn.Conv3d(1, 3, 1).eval()
    organ, tumour = (95 + 100) / 340, (190 + 100) / 340
    with torch.no_grad():
        network.weight.copy_(torch.tensor([0, 60, 240.0]).reshape(3, 1, 1, 1, 1))
        network.bias.copy_(torch.tensor([0, -60 * organ, -240 * tumour + 30]))
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.trace(network, torch.zeros(1, 1, *SHAPE)), content)
    return content.getvalue()


@cache
def _bundle() -> Path:
    from monai_bundles import write_bundle

    folder = Path(mkdtemp(prefix="pancascade-fuzz-"))
    write_scan(folder / "scan.nii.gz")
    write_bundle(folder / "bundle")
    return folder
