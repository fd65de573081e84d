"""Find the scans of a batch in files, folders, DICOM studies and lists; each scan once, with a name."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pancascade.errors import DataError, UnreadableError
from pancascade.files.atomic import written_whole
from pancascade.files.csv_tables import TableRow, read_table
from pancascade.files.digests import text_digest
from pancascade.files.file_names import READABLE_SUFFIXES, abbreviated, find_path, stem, there
from pancascade.files.folders import files_below
from pancascade.files.given_paths import real_path
from pancascade.imaging.io.dicom.dicom_files import looks_like_dicom
from pancascade.results.corrections import FOLDER as CORRECTIONS
from pancascade.segmentation.batch.dicom_studies import find_studies
from pancascade.segmentation.batch.own_files import OWN_FILES
from pancascade.segmentation.batch.scan_input import ScanInput, of_files

Names = Literal["digest", "order", "file"]
"""Names of cases: a digest of their place, their number in the run, or their files and folders."""

_SUFFIXES = (*READABLE_SUFFIXES, ".zip")
_OURS = re.compile(r"segmentation\.nii\.gz|probability_(pancreas|tumour)\.nii\.gz")
_LONGEST_NAME = 80
_DIGITS = 10


def find_inputs(
    paths: Sequence[Path], *, names: Names = "digest", out: Path | None = None, series: str | None = None
) -> list[ScanInput]:
    """Return the scans to segment, in the given order, each once.

    Args:
        paths: Scans as for `segment`; folders, searched to any depth for scans in files and for DICOM studies; or CSV
            lists with the column ``image`` and, optionally, ``case`` (its name), ``series``, ``pancreas`` (a mask of
            it) and ``pancreas_label`` (labels in that mask; several are separated by semicolons).
        names: Names of the cases for which a list gives none.
        out: Folder for the results; files in it are no input.
        series: DICOM series to use for scans for which a list gives none.

    Raises:
        DataError: A list cannot be used, or no scan was found.
        UnreadableError: A path does not exist, or may not be read.
    """
    out = None if out is None else out.absolute()
    found: dict[tuple[str, str | None], ScanInput] = {}
    for path in map(Path, paths):
        if not there(path):
            raise UnreadableError(f"{path}: there is no such file or folder. Check the path.", code="no_such_file")
        for scan in _in(path.absolute(), out):
            wanted = scan.series or (series if series is not None and _is_dicom(scan) else None)
            found.setdefault((scan.identity, wanted), replace(scan, series=wanted))
    if not found:
        raise DataError(
            f"{paths[0].name}: no scan was found. Give files of the kinds {', '.join(READABLE_SUFFIXES)}, a folder of "
            "them or of DICOM studies, or a CSV list."
        )
    return _named(list(found.values()), names)


def write_mapping(path: Path, scans: Sequence[ScanInput]) -> None:
    """Write which case is which scan. The file names files and folders, so it may identify patients.

    Args:
        path: CSV file to write.
        scans: Scans with their names.

    Raises:
        OutputError: The path cannot be written.
    """
    with (
        written_whole(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        table = csv.writer(file)
        table.writerow(["case", "input", "series"])
        table.writerows([scan.case, str(scan.path), scan.series or ""] for scan in scans)


def _is_dicom(scan: ScanInput) -> bool:
    return scan.study is not None or looks_like_dicom(scan.path)


def _in(path: Path, out: Path | None) -> Iterator[ScanInput]:
    if path.is_dir():
        yield from sorted(_of_folder(path, out), key=lambda scan: str(scan.path))
    elif path.suffix.lower() == ".csv":
        yield from _of_list(path)
    else:
        yield _of_file(path)


def _of_file(path: Path, *, series: str | None = None) -> ScanInput:
    files = list(files_below(path)) if path.is_dir() else [path]
    return of_files(path, files, identity=str(real_path(path)), series=series)


def _of_folder(folder: Path, out: Path | None) -> Iterator[ScanInput]:
    for file in files_below(folder):
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if hidden or not file.name.lower().endswith(_SUFFIXES) or (out is not None and file.is_relative_to(out)):
            continue
        if not _is_ours(file):
            yield _of_file(file)
    yield from find_studies(folder, leave_out=out)


def _is_ours(file: Path) -> bool:
    """Return whether a file belongs to a result: a mask, a probability map, or a correction."""
    if _OURS.fullmatch(file.name):
        return (file.parent / "result.json").exists()
    return file.parent.name == CORRECTIONS and (file.parents[1] / "result.json").exists()


def _of_list(table: Path) -> Iterator[ScanInput]:
    for row in read_table(table, required=("image",)):
        scan = _of_file(find_path(table.parent, row.file_name("image")).absolute(), series=row["series"] or None)
        yield _with_pancreas(replace(scan, given_name=_given_name(row)), row, table.parent)


def _with_pancreas(scan: ScanInput, row: TableRow, folder: Path) -> ScanInput:
    """Add the mask of a list to the scan; another mask makes it another input."""
    if not row["pancreas"]:
        return scan
    mask = find_path(folder, row.file_name("pancreas")).absolute()
    labels = tuple(part.strip() for part in row["pancreas_label"].split(";") if part.strip())
    stamp = text_digest(repr((scan.stamp, of_files(mask, [mask], identity=str(mask)).stamp, labels)))[:16]
    return replace(scan, pancreas=mask, pancreas_label=labels, stamp=stamp)


def _given_name(row: TableRow) -> str | None:
    name = row["case"]
    if not name:
        return None
    if _plain(name) != name:
        raise row.fault("the case's name may only have letters, digits, - and _ (and . inside), at most 80 of them.")
    return name


def _named(scans: Sequence[ScanInput], names: Names) -> list[ScanInput]:
    """Give each scan a unique name, also if capitals do not count."""
    taken: set[str] = {name.casefold() for name in OWN_FILES}
    digits = max(4, len(str(len(scans))))
    for scan in scans:
        if scan.given_name is not None:
            if scan.given_name.casefold() in OWN_FILES:
                raise DataError(f"A case in the lists is called {scan.given_name}, as a file of the batch. Rename it.")
            if scan.given_name.casefold() in taken:
                raise DataError(f"Two scans are called {abbreviated(scan.given_name)} in the lists. Rename one.")
            taken.add(scan.given_name.casefold())
    named = []
    for number, scan in enumerate(scans, start=1):
        if scan.given_name is not None:
            named.append(replace(scan, case=scan.given_name))
            continue
        name = {
            "digest": f"case-{text_digest(repr((scan.identity, scan.series)))[:_DIGITS]}",
            "order": f"case-{number:0{digits}}",
            "file": _plain(stem(scan.path)) or "scan",
        }[names]
        case, copies = name, 1
        while case.casefold() in taken:
            copies += 1
            case = f"{name}-{copies}"
        taken.add(case.casefold())
        named.append(replace(scan, case=case))
    return named


def _plain(name: str) -> str:
    """Return a name for any file system: without separators, and without dots at its ends."""
    return re.sub(r"[^\w.-]+", "_", name)[:_LONGEST_NAME].strip("._-")
