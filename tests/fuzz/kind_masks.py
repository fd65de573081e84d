"""Label maps: predictions and references of an evaluation."""

import gzip
from pathlib import Path
from random import Random

import kind_nifti
import nibabel as nib
import numpy as np
from byte_mutations import damaged
from fuzz_kind import Answer, Kind
from label_maps import CASES, EVALUATE, counted, counted_by_numpy, write_masks
from mask_cases import AFFINE


class Masks(Kind):
    """A label map that `evaluate` reads, as prediction or as reference."""

    name = "masks"
    share = 12
    commands = (EVALUATE,)
    left = frozenset({"cases"})

    def build(self, folder: Path) -> None:
        write_masks(folder)

    def mutate(self, folder: Path, random: Random) -> str:
        path = folder / random.choice(("predictions", "reference")) / f"{random.choice(CASES)}.nii.gz"
        what = random.choice((_bytes, _field, _field, _values, _values, _names))
        return f"{path.parent.name} {what.__name__.strip('_')}: {what(path, random)}"

    def answer(self, folder: Path, command: str) -> Answer:
        return counted(folder)

    def excused(self, folder: Path, command: str, answer: Answer, good: Path) -> bool:
        """NumPy counts the same."""
        return all(found["targets"] == counted_by_numpy(folder, case) for case, found in answer.items())


def _bytes(path: Path, random: Random) -> str:
    if random.random() < 0.5:
        what, content = damaged(path.read_bytes(), random)
    else:
        what, content = damaged(gzip.decompress(path.read_bytes()), random)
        content = kind_nifti.packed(content)
    path.write_bytes(content)
    return what


def _field(path: Path, random: Random) -> str:
    return kind_nifti.change_field(path, random)


def _values(path: Path, random: Random) -> str:
    labels = np.asarray(nib.load(path).dataobj)
    name = random.choice(list(VALUES))
    values = VALUES[name](labels)
    nib.save(nib.Nifti1Image(values, AFFINE, dtype=values.dtype), path)
    return name


def _slope(labels: np.ndarray) -> np.ndarray:
    """As floats that are whole numbers but for what a slope leaves."""
    return (labels * np.float32(1.0000153)).astype(np.float32)


VALUES = {
    "floats": lambda labels: labels.astype(np.float64),
    "nearly whole": _slope,
    "halves": lambda labels: labels.astype(np.float32) / 2,
    "a NaN": lambda labels: np.where(labels == 2, np.nan, labels).astype(np.float32),
    "negative": lambda labels: -labels.astype(np.int16),
    "other values": lambda labels: (labels * 100).astype(np.int16),
    "huge values": lambda labels: labels.astype(np.int64) * 2**40,
    "empty": np.zeros_like,
    "full": np.ones_like,
    "a slice less": lambda labels: labels[..., 1:],
    "a fourth dimension": lambda labels: labels[..., None],
    "one-hot": lambda labels: np.stack([labels == 1, labels == 2], -1).astype(np.uint8),
    "mirrored": lambda labels: labels[::-1].copy(),
    "int32": lambda labels: labels.astype(np.int32),
}


def _names(path: Path, random: Random) -> str:
    names = (
        "c.nii.gz",
        "A.nii.gz",
        "a_0000.nii.gz",
        "ä.nii.gz",
        ".nii.gz",
        "a.nii",
        "a.seg.nii.gz",
        "a b.nii.gz",
        "x" * 240,
    )
    name = random.choice(names)
    path.rename(path.with_name(name))
    return f"{path.name} is called {name[:40]}"
