"""One mask for each structure, and a table of their sizes, for other programs and spreadsheets."""

import csv
from pathlib import Path

import numpy as np

from pancascade.files.atomic import written_whole
from pancascade.imaging.io.nifti import write_nifti
from pancascade.imaging.volume import Box, Volume
from pancascade.labels import Label

STRUCTURES: dict[str, tuple[Label, ...]] = {
    Label.PANCREAS.title: (Label.PANCREAS,),
    Label.TUMOUR.title: (Label.TUMOUR,),
    "pancreas_with_tumour": (Label.PANCREAS, Label.TUMOUR),
}
"""Labels of each structure; other programs call the last one the pancreas."""

FOLDER = "structures"
MASKS = tuple(f"{FOLDER}/{name}.nii.gz" for name in STRUCTURES)
"""Paths of the masks in the result's folder."""

STATISTICS = "statistics.csv"
COLUMNS = ("structure", "voxels", "volume_ml", "mean_hu", "sd_hu", "min_hu", "max_hu", "first_slice", "last_slice")


def write_structures(mask: Volume, folder: Path) -> None:
    """Write ``structures/NAME.nii.gz`` (0 and 1) of every structure, even an empty one, on the mask's grid.

    Args:
        mask: Labels (I, J, K), ids of `Label`.
        folder: Folder of the result.

    Raises:
        OutputError: A file cannot be written.
    """
    (folder / FOLDER).mkdir(exist_ok=True)
    for (_, labels), name in zip(STRUCTURES.items(), MASKS, strict=True):
        write_nifti(mask.with_voxels(np.isin(mask.voxels, labels).astype(np.uint8)), folder / name)


def write_statistics(scan: Volume, mask: Volume, path: Path) -> None:
    """Write one row for each structure: voxels, mL, Hounsfield units, and axial slices, the lowest counted as 1.

    Args:
        scan: Hounsfield units (I, J, K).
        mask: Labels on the same grid, ids of `Label`.
        path: CSV file to write.

    Raises:
        OutputError: The file cannot be written.
    """
    with written_whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for name, labels in STRUCTURES.items():
            table.writerow([name, *_row(scan, mask, labels)])


def _row(scan: Volume, mask: Volume, labels: tuple[Label, ...]) -> list[str]:
    box = Box.around(mask.voxels)
    inside = None if box is None else np.isin(mask.voxels[box.slices], labels)
    if box is None or inside is None or not inside.any():
        return ["0", "0.000", *[""] * (len(COLUMNS) - 3)]
    hu = np.asarray(scan.voxels[box.slices])[inside].astype(np.float64)
    axis = mask.orientation.index("S") if "S" in mask.orientation else mask.orientation.index("I")
    slices = box.start[axis] + np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis})))
    if "I" in mask.orientation:
        slices = mask.shape[axis] - 1 - slices[::-1]
    numbers = [f"{value:.1f}" for value in (hu.mean(), hu.std(), hu.min(), hu.max())]
    return [str(hu.size), f"{hu.size * mask.voxel_volume_ml:.3f}", *numbers, str(slices[0] + 1), str(slices[-1] + 1)]
