"""Volume lists: a CSV naming whole scans and the slices of each that may be used.

Columns: image, patient, and label, the path of a label map with pancascade's ids, or ``none`` for scans that show
neither pancreas nor tumour. If wanted first_slice and last_slice (inclusive, from the feet; empty for the whole scan).
"""

import csv
from functools import partial
from pathlib import Path

from pancascade.datasets.case import AxialSlice, Case, LabelledScan, axial_slices
from pancascade.datasets.scan_files import scan_files
from pancascade.datasets.structure import OURS
from pancascade.errors import DataError
from pancascade.io import stem

COLUMNS = {"image", "label", "patient"}


def volume_list(table: Path, *, root: Path) -> list[Case]:
    """Cases of a CSV of whole scans, one a row.

    Args:
        table: The CSV.
        root: Folder that the paths in the CSV are relative to.

    Raises:
        DataError: The table is missing or lacks a column.
    """
    return [_case(row, table, root) for row in _read_table(table)]


def _case(row: dict[str, str], table: Path, root: Path) -> Case:
    first, last = row.get("first_slice") or "", row.get("last_slice") or ""
    name = stem(Path(row["image"]))
    scan = scan_files(root / row["image"], None if row["label"] == "none" else root / row["label"], meaning=OURS)
    if not (first or last):
        return Case.of_scan(name, patient=row["patient"], source=table.stem, scan=scan)
    name = f"{name}_{first}_{last}"
    read = partial(_read_part, scan, name=name, patient=row["patient"], first=first, last=last)
    files = (scan.image,) if scan.label is None else (scan.image, scan.label)
    return Case(name, row["patient"], table.stem, read, files=files)


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
            number = row.get(column)
            if number and not number.lstrip("-").isdigit():
                raise DataError(f"{table}: {column} of {row['image']} is {number!r}, not a whole number.")
    return rows


def _read_part(scan: LabelledScan, *, name: str, patient: str, first: str, last: str) -> list[AxialSlice]:
    slices = axial_slices(*scan.read_ct(), name=name, patient=patient)
    low, high = int(first or 0), int(last or len(slices) - 1)
    if not 0 <= low <= high < len(slices):
        raise DataError(f"{scan.image}: slices {low}–{high} asked, the scan has 0–{len(slices) - 1}.")
    return slices[low : high + 1]
