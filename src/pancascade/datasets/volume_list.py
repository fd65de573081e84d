"""Volume lists: a CSV naming whole scans and the slices of each that may be used.

Columns: image, patient, first_slice and last_slice (inclusive, from the feet; empty for the whole scan), and label,
the path of a label map with pancascade's ids, or ``none`` for slices that hold neither pancreas nor tumour.
"""

import csv
from functools import partial
from pathlib import Path

import numpy as np

from pancascade.datasets.case import AxialSlice, Case
from pancascade.datasets.region_folder import axial_slices
from pancascade.errors import DataError
from pancascade.io import read_volume
from pancascade.volume import reorient

COLUMNS = {"image", "label", "patient", "first_slice", "last_slice"}


def volume_list(table: Path, *, root: Path) -> list[Case]:
    """Cases of a CSV of whole scans, one a row.

    Args:
        table: The CSV.
        root: Folder that the paths in the CSV are relative to.

    Raises:
        DataError: The table is missing or lacks a column.
    """
    return [
        Case(
            f"{row['patient']}_{row['first_slice']}_{row['last_slice']}",
            row["patient"],
            table.stem,
            partial(_read_rows, root, row),
        )
        for row in _read_table(table)
    ]


def listed_images(table: Path, *, root: Path) -> list[Path]:
    """The scans that a list names; the same errors as `volume_list`."""
    return [root / row["image"] for row in _read_table(table)]


def _read_table(table: Path) -> list[dict[str, str]]:
    if not table.is_file():
        raise DataError(f"{table}: no such file.")
    with table.open(newline="", encoding="utf-8-sig") as lines:
        rows = list(csv.DictReader(lines))
    if not rows or not rows[0].keys() >= COLUMNS:
        raise DataError(f"{table}: needs the columns {', '.join(sorted(COLUMNS))} and at least one row.")
    for row in rows:
        for column in ("first_slice", "last_slice"):
            if row[column] and not row[column].lstrip("-").isdigit():
                raise DataError(f"{table}: {column} of {row['image']} is {row[column]!r}, not a whole number.")
    return rows


def _read_rows(root: Path, row: dict[str, str]) -> list[AxialSlice]:
    image = reorient(read_volume(root / row["image"]), "RAS")
    if row["label"] == "none":
        labels = image.with_voxels(np.zeros(image.shape, np.uint8))
    else:
        labels = reorient(read_volume(root / row["label"]), "RAS")
        if not labels.on_same_grid_as(image):
            raise DataError(f"{root / row['label']}: not on the grid of {row['image']}. Resample it first.")
    slices = axial_slices(image, labels, name=row["patient"], patient=row["patient"])
    first, last = int(row["first_slice"] or 0), int(row["last_slice"] or len(slices) - 1)
    if not 0 <= first <= last < len(slices):
        raise DataError(f"{row['image']}: slices {first}–{last} asked, the scan has 0–{len(slices) - 1}.")
    return slices[first : last + 1]
