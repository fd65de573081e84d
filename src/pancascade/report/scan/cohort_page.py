"""The page of many results: counts, histograms, a table to sort and filter, warnings by kind."""

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from pancascade.files.given_paths import real_path
from pancascade.report.page_environment import write_page
from pancascade.report.scan.cohort import REPORT, Cohort, CohortRow
from pancascade.report.scan.histogram import HEIGHT, WIDTH, make_histogram
from pancascade.report.scan.overview import first_panel

OVERVIEW = "overview.png"


MOST_THUMBNAILS, THUMBNAIL_WIDTH = 1000, 144
"""A thumbnail has 4 kB, so the page of a thousand scans has 4 MB."""


class WarningKind(NamedTuple):
    """A kind of warning: its code, and its sentence for each scan."""

    code: str
    scans: list[tuple[str, str]]


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
        make_histogram(
            "tumour score", [row.tumour_score for row in rows if row.tumour_score is not None], limits=(0.0, 1.0)
        ),
    )
    context = {
        "rows": [(row, _link(row, path), real_path(row.folder).name, picture) for row, picture in _with_pictures(rows)],
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
    report, around = real_path(row.folder / REPORT), real_path(page.parent)
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
