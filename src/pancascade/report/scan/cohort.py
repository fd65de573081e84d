"""Show many results on one page and in one table."""

import base64
import csv
import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import numpy as np
from pydantic import Field

from pancascade.errors import PancascadeError
from pancascade.files.atomic import written_whole
from pancascade.files.documents import read_json
from pancascade.messages.names_only import DICOM_FOLDER, names_only, public_name
from pancascade.report.scan.histogram import HEIGHT, WIDTH, make_histogram
from pancascade.report.scan.overview import first_panel
from pancascade.report.scan.scan_report import organ_ml, tumour_ml, warnings_of, write_page
from pancascade.results.refusal import NAME as REFUSAL
from pancascade.results.result import NAME, Result, place_of, read_result, require_whole
from pancascade.settings import Settings

REPORT, OVERVIEW = "report.html", "overview.png"
MOST_THUMBNAILS, THUMBNAIL_WIDTH = 1000, 144
"""A thumbnail has 4 kB, so the page of a thousand scans has 4 MB."""

FILES_OF_RESULTS = (NAME, REFUSAL, REPORT)
"""Files that a page or table may not replace."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of text that spreadsheets take for a formula."""

_UNWRITABLE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Surrogate characters that do not stand for a byte of a file name."""


class CohortRow(Settings):
    """The row of one scan.

    Attributes:
        scan: Name of its file.
        folder: Folder of its result; pages and tables show only its own name.
        model: Name of the model.
        created: UTC, ISO 8601.
        pancreas_ml: Volume with tumours.
        tumour_ml: Volume of all that is marked as tumour.
        lesions: Number of lesions.
        largest_mm: Longest diameter of any lesion in an axial slice; None without lesions.
        suspicion: Tumour score; None where it was not computed.
        location_confidence: Confidence of the location; None where it is not known.
        warnings: Code and sentence of each warning; a sentence without a notice has the code ``other``.
        grid: Voxels and their size, such as "512 × 512 × 240, 0.70 × 0.70 × 1.00 mm"; nothing of a patient.
        acquisition: Of DICOM, such as "abdomen, with contrast, 120 kV, 3 mm, B30f, Siemens"; "" where it is not known.
    """

    scan: str
    folder: Path
    model: str
    created: str
    pancreas_ml: float
    tumour_ml: float
    lesions: int
    largest_mm: float | None
    suspicion: float | None
    location_confidence: float | None
    warnings: tuple[tuple[str, str], ...] = ()
    grid: str = ""
    acquisition: str = ""


class Unreadable(NamedTuple):
    """A path without a usable result, or of a refused scan, with the reason."""

    path: Path
    reason: str


class Cohort(Settings):
    """The results of a cohort.

    Attributes:
        rows: Rows in the order found.
        unreadable: Paths without a usable result.
    """

    rows: tuple[CohortRow, ...]
    unreadable: tuple[Unreadable, ...] = Field(default=())


class WarningKind(NamedTuple):
    """A kind of warning: its code, and its sentence for each scan."""

    code: str
    scans: list[tuple[str, str]]


def find_results(paths: Sequence[Path]) -> tuple[list[Path], list[Unreadable]]:
    """Find files named ``result.json`` in folders and their subfolders, each once; hidden folders are left out.

    Args:
        paths: Folders, or files of results.

    Returns:
        The files, sorted within each path; and the paths without results, including refused scans. A folder counts
        once: a refusal beside a result is newer, since a new result removes it.
    """
    found: dict[Path, Path] = {}
    without: list[Unreadable] = []
    for path in map(Path, paths):
        files = [path] if path.is_file() else sorted(_walk(path))
        found.update({file.resolve(): file for file in files if file.resolve() not in found})
        if not path.exists():
            without.append(Unreadable(path, f"{path.name}: no such folder or file. Check the path."))
        elif not files:
            reason = f"{path.resolve().name}: no {NAME} in it or below. Give folders of segmented scans."
            without.append(Unreadable(path, reason))
    refused = {place: file for place, file in found.items() if file.name == REFUSAL}
    older = {place.parent for place in refused}
    without = [*(Unreadable(file, _refused(file)) for file in refused.values()), *without]
    return [file for place, file in found.items() if place not in refused and place.parent not in older], without


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(root) / name for name in (NAME, REFUSAL) if name in files)


def _refused(file: Path) -> str:
    """Return why a scan was refused, from its ``refusal.json``."""
    try:
        sentence = read_json(file)["sentence"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        sentence = "the reason cannot be read. Segment the scan again."
    earlier = " The result beside it is of an earlier run." if (file.parent / NAME).exists() else ""
    return f"{place_of(file)}: the scan was refused. {names_only(str(sentence), folder=DICOM_FOLDER)}{earlier}"


def read_cohort(paths: Sequence[Path], *, progress: Callable[[int, int], None] | None = None) -> Cohort:
    """Read all results; one that cannot be used is listed, and the others are read.

    Args:
        paths: Folders, searched with their subfolders, or files of results.
        progress: Called with the number of read results and the total.
    """
    files, unreadable = find_results(paths)
    rows = []
    for done, file in enumerate(files, start=1):
        try:
            result = read_result(file)
            require_whole(file.parent, result)
            rows.append(_row(file, result))
        except PancascadeError as error:
            unreadable.append(Unreadable(file, str(error)))
        if progress is not None:
            progress(done, len(files))
    return Cohort(rows=tuple(rows), unreadable=tuple(unreadable))


def _row(file: Path, result: Result) -> CohortRow:
    lesions = result.pancreas_and_lesions.lesions
    reported = [
        ("other", entry) if isinstance(entry, str) else (entry.code, entry.sentence) for entry in warnings_of(result)
    ]
    return CohortRow(
        scan=public_name(result.scan),
        folder=file.parent,
        model=result.model,
        created=result.created,
        pancreas_ml=organ_ml(result),
        tumour_ml=tumour_ml(result),
        lesions=len(lesions),
        largest_mm=max((lesion.diameters.long_mm for lesion in lesions), default=None),
        suspicion=result.tumour_score,
        location_confidence=None if result.location is None else result.location.confidence,
        warnings=tuple(reported),
        grid=_spell_grid(result),
        acquisition="" if result.acquisition is None else str(result.acquisition),
    )


def _spell_grid(result: Result) -> str:
    steps = np.linalg.norm(np.array(result.grid.affine)[:3, :3], axis=0)
    sizes, spacing = (" × ".join(parts) for parts in (map(str, result.grid.shape), (f"{step:.2f}" for step in steps)))
    return f"{sizes}, {spacing} mm"


def write_cohort(path: Path, cohort: Cohort) -> None:
    """Write the page: counts, histograms, a table to sort and filter, warnings by kind, unreadable results.

    Args:
        path: HTML file to write; links to reports are relative to its folder.
        cohort: Results with at least one row.

    Raises:
        OutputError: The path cannot be written.
    """
    rows = cohort.rows
    histograms = (
        make_histogram("pancreas with tumours [mL]", [row.pancreas_ml for row in rows if row.pancreas_ml > 0]),
        make_histogram("tumour [mL], where marked", [row.tumour_ml for row in rows if row.tumour_ml > 0]),
        make_histogram("largest diameter [mm]", [row.largest_mm for row in rows if row.largest_mm is not None]),
        make_histogram("tumour score", [row.suspicion for row in rows if row.suspicion is not None], limits=(0.0, 1.0)),
    )
    context = {
        "rows": [(row, _link(row, path), row.folder.resolve().name, picture) for row, picture in _with_pictures(rows)],
        "with_lesions": sum(row.lesions > 0 for row in rows),
        "with_nothing": sum(row.pancreas_ml == 0 for row in rows),
        "with_warnings": sum(bool(row.warnings) for row in rows),
        "models": sorted({row.model for row in rows}),
        "kinds": _kinds(rows),
        "unreadable": cohort.unreadable,
        "histograms": [histogram for histogram in histograms if histogram is not None],
        "size": (WIDTH, HEIGHT),
    }
    write_page(path, "cohort.html", context)


def _with_pictures(rows: Sequence[CohortRow]) -> Iterator[tuple[CohortRow, str]]:
    """Yield each row with the ``data:`` address of its thumbnail; "" without an overview, or after many rows."""
    for number, row in enumerate(rows):
        picture = ""
        if number < MOST_THUMBNAILS:
            with suppress(OSError):
                packed = io.BytesIO()
                first_panel(row.folder / OVERVIEW, width=THUMBNAIL_WIDTH).save(packed, format="JPEG", quality=70)
                picture = "data:image/jpeg;base64," + base64.b64encode(packed.getvalue()).decode("ascii")
        yield row, picture


def has_reports_elsewhere(cohort: Cohort, page: Path) -> bool:
    """Return whether a report is not linked from a page because it is outside the page's folder."""
    return any((row.folder / REPORT).is_file() and _link(row, page) is None for row in cohort.rows)


def _link(row: CohortRow, page: Path) -> str | None:
    """Return the address of a scan's report from the page's folder; None if it is not inside that folder.

    A page is shared with the files below it; the names of other folders must not be shown.
    """
    report, around = (row.folder / REPORT).resolve(), page.parent.resolve()
    if not report.is_file() or not report.is_relative_to(around):
        return None
    return quote(report.relative_to(around).as_posix(), errors="surrogateescape")


def _kinds(rows: Sequence[CohortRow]) -> list[WarningKind]:
    """Return the kinds of warnings, the most frequent first."""
    by_code: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        for code, sentence in row.warnings:
            by_code.setdefault(code, []).append((row.scan, sentence))
    return sorted((WarningKind(code, scans) for code, scans in by_code.items()), key=lambda kind: -len(kind.scans))


def write_cohort_csv(path: Path, cohort: Cohort) -> None:
    """Write the same numbers for spreadsheets, one row for each scan; unknown numbers are empty.

    Args:
        path: CSV file to write.
        cohort: Results; unreadable ones are left out.

    Raises:
        OutputError: The path cannot be written.
    """
    names = [name for name in CohortRow.model_fields if name not in ("warnings", "grid")]
    with (
        written_whole(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.writer(file)
        writer.writerow([*names, "warnings", "warning_codes"])
        for row in cohort.rows:
            codes = " ".join(code for code, _ in row.warnings)
            shown = {name: getattr(row, name) for name in names} | {"folder": row.folder.resolve().name}
            writer.writerow([*map(_shown, shown.values()), len(row.warnings), codes])


def _shown(value: object) -> object:
    """Return text that spreadsheets show unchanged, without characters that no file can hold."""
    if not isinstance(value, str | Path):
        return value
    text = _UNWRITABLE.sub("?", str(value))
    return f"'{text}" if text.startswith(_FORMULA) else text
