"""Region folders: 8-bit CT of the pancreas and its surround with label maps, as cut from PANORAMA.

``index.csv`` (columns case, hu_at_0, hu_at_255), ``CASE_ct.nii.gz``, ``CASE_label.nii.gz``.
"""

import csv
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from pancascade.datasets.case import AxialSlice, Case
from pancascade.errors import DataError
from pancascade.io import read_volume
from pancascade.labels import Label
from pancascade.preprocessing import Window
from pancascade.volume import Volume, reorient

PANORAMA_MEANING: dict[int, Label] = {1: Label.TUMOUR, 4: Label.PANCREAS, 5: Label.PANCREAS}
"""PANORAMA's ids: 1 lesion, 4 parenchyma, 5 pancreatic duct; vessels and bile duct are background here."""


def region_folder(folder: Path, *, meaning: Mapping[int, Label] = PANORAMA_MEANING) -> list[Case]:
    """Cases of a folder of regions, one a patient.

    Args:
        folder: Holds ``index.csv`` and the NIfTI pairs.
        meaning: What each id of the label maps stands for; ids that are not named are background.

    Raises:
        DataError: The index is missing or lacks a column.
    """
    index = folder / "index.csv"
    if not index.is_file():
        raise DataError(f"{index}: no such file. A region folder needs index.csv and CASE_ct/_label.nii.gz.")
    with index.open(newline="", encoding="utf-8-sig") as lines:
        rows = list(csv.DictReader(lines))
    if not rows or not {"case", "hu_at_0", "hu_at_255"} <= rows[0].keys():
        raise DataError(f"{index}: needs the columns case, hu_at_0, hu_at_255 and at least one row.")
    cases = []
    for row in rows:
        window = Window(lower_hu=float(row["hu_at_0"]), upper_hu=float(row["hu_at_255"]))
        read = partial(_read_case, folder, row["case"], window=window, meaning=meaning)
        cases.append(Case(row["case"], row["case"].split("_")[0], folder.name, read))
    return cases


def _read_case(folder: Path, name: str, *, window: Window, meaning: Mapping[int, Label]) -> list[AxialSlice]:
    grey = read_volume(folder / f"{name}_ct.nii.gz")
    reference = read_volume(folder / f"{name}_label.nii.gz")
    if not reference.on_same_grid_as(grey):
        raise DataError(f"{folder / name}_label.nii.gz: not on the grid of its CT. Export the pair again.")
    ids = np.zeros(max(256, int(reference.voxels.max()) + 1), np.uint8)
    for value, label in meaning.items():
        ids[value] = label
    hu = grey.with_voxels(window.to_hu(grey.voxels))
    labels = reference.with_voxels(ids[reference.voxels.astype(np.intp)])
    return axial_slices(hu, labels, name=name, patient=name.split("_", maxsplit=1)[0])


def axial_slices(hu: Volume, labels: Volume, *, name: str, patient: str) -> list[AxialSlice]:
    """The axial slices of a volume and its label map, feet first, as a radiologist sees them."""
    shown, marked = reorient(hu, "LPS"), reorient(labels, "LPS")
    column_mm, row_mm, _ = shown.spacing_mm
    return [
        AxialSlice(
            f"{name}_z{k:03d}",
            patient,
            shown.voxels[:, :, k].T.astype(np.int16),
            marked.voxels[:, :, k].T.astype(np.uint8),
            (row_mm, column_mm),
        )
        for k in range(shown.shape[2])
    ]
