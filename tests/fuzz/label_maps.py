"""Predictions and references, and what is right about them by NumPy alone."""

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from fuzz_kind import Answer
from mask_cases import AFFINE, label_map

CASES = ("a", "b")
EVALUATE = "evaluate predictions reference --out out --workers 1"


def write_masks(folder: Path) -> None:
    """Two predictions and their references."""
    for part, offset in (("predictions", 20), ("reference", 0)):
        (folder / part).mkdir()
        for number, name in enumerate(CASES):
            nib.save(nib.Nifti1Image(label_map(number + offset), AFFINE), folder / part / f"{name}.nii.gz")


def counted(folder: Path) -> Answer:
    """Counts of each case in what `evaluate` has kept: (TP, FP, FN) of each target."""
    found = {}
    for path in sorted((folder / "out" / "cases").glob("*.json")):
        record = json.loads(path.read_text())["record"]
        targets = {name: _sums(target["slices"]) for name, target in sorted(record["targets"].items())}
        found[record["case"]] = {"patient": record["patient"], "targets": targets}
    return found


def counted_by_numpy(folder: Path, case: str) -> dict[str, list[int]] | None:
    """The same by the peer's reading of the two files; None where it cannot read them, or they do not fit."""
    try:
        pair = [nib.load(_named(folder / part, f"{case}.nii.gz")) for part in ("predictions", "reference")]
        prediction, reference = (np.asarray(image.dataobj).squeeze() for image in pair)
    except Exception:
        return None
    if prediction.shape != reference.shape or not np.allclose(pair[0].affine, pair[1].affine, atol=1e-3):
        return None
    counts = {}
    for target, values in (("pancreas", (1, 2)), ("tumour", (2,))):
        one, other = np.isin(np.rint(prediction), values), np.isin(np.rint(reference), values)
        counts[target] = [int((one & other).sum()), int((one & ~other).sum()), int((~one & other).sum())]
    return counts


def _named(folder: Path, name: str) -> Path:
    """The only file of this name, whatever its letter case, and with or without nnU-Net's number of the channel."""
    (found,) = [path for path in folder.iterdir() if _plain(path.name) == _plain(name)]
    return found


def _plain(name: str) -> str:
    return name.casefold().replace("_0000.", ".")


def _sums(slices: list[Any]) -> list[int]:
    rows = [list(row.values()) if isinstance(row, dict) else list(row) for row in slices]
    return [int(sum(column)) for column in list(zip(*rows, strict=True))[:3]]
