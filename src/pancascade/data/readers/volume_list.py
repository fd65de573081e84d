"""Volume lists: a CSV of whole scans and the slices of each to use.

Columns: image, patient, and label, the path of a label map with pancascade's ids, or ``none`` for scans that show
neither pancreas nor tumour. Optional: first_slice and last_slice (inclusive, from the feet; empty for the whole scan),
and case, its name; the default is the image's name, with its folders where images have the same name.
"""

from functools import partial
from pathlib import Path

from pancascade.data.readers.case import AxialSlice, Case, LabelledScan, axial_slices
from pancascade.data.readers.case_names import distinct_names
from pancascade.data.readers.scan_files import scan_files
from pancascade.data.readers.structure import OURS
from pancascade.errors import DataError
from pancascade.files.csv_tables import TableRow, read_table
from pancascade.files.file_names import find_path

COLUMNS = {"image", "label", "patient"}


def volume_list(table: Path, *, root: Path) -> list[Case]:
    """Return the cases of a CSV of whole scans, one per row.

    Args:
        table: The CSV.
        root: Folder that the paths in the CSV are relative to.

    Raises:
        DataError: The table is missing or lacks a column or a cell.
    """
    rows = _read_rows(table)
    names = distinct_names([row.file_name("image") for row in rows])
    return [
        _case(row, row.file_name("case") or name, source=table.stem, root=root)
        for row, name in zip(rows, names, strict=True)
    ]


def _case(row: TableRow, name: str, *, source: str, root: Path) -> Case:
    first, last = row.whole_number("first_slice"), row.whole_number("last_slice")
    unlabelled = row["label"].casefold() == "none"
    label = None if unlabelled else find_path(root, row.file_name("label"))
    scan = scan_files(find_path(root, row.file_name("image")), label, meaning=OURS)
    patient = row["patient"]
    if first is None and last is None:
        return Case.of_scan(name, patient=patient, source=source, scan=scan)
    low, high = ("" if number is None else str(number) for number in (first, last))
    if not row["case"]:
        name = f"{name}_{low}_{high}"
    read = partial(_read_part, scan, name=name, patient=patient, first=low, last=high)
    files = (scan.image,) if scan.label is None else (scan.image, scan.label)
    return Case(name, patient, source, read, files=files)


def listed_images(table: Path, *, root: Path) -> list[Path]:
    """Return the scans of a list; raises the same errors as `volume_list`."""
    return [find_path(root, row.file_name("image")) for row in _read_rows(table)]


def _read_rows(table: Path) -> list[TableRow]:
    rows = read_table(table, required=("image", "patient"), columns=("label",))
    for row in rows:
        if not row["label"]:
            raise row.fault("no label. Name its file, or write none if the scan shows neither pancreas nor tumour.")
    return rows


def _read_part(scan: LabelledScan, *, name: str, patient: str, first: str, last: str) -> list[AxialSlice]:
    slices = axial_slices(*scan.read_ct(), name=name, patient=patient)
    low, high = int(first or 0), int(last or len(slices) - 1)
    if not 0 <= low <= high < len(slices):
        raise DataError(f"{scan.image}: slices {low}–{high} asked, the scan has 0–{len(slices) - 1}.")
    return slices[low : high + 1]
