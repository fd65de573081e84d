"""``check.html``: the issues found in data sets, in one file that loads nothing."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from pancascade.data.checking.case_statistics import CaseStatistics
from pancascade.data.checking.check import DataCheck
from pancascade.data.checking.check_tables import size_text, spacing_text
from pancascade.data.checking.issues import Issue, Severity
from pancascade.report.page_environment import write_page

STRIP_WIDTH, STRIP_HEIGHT = 640, 34
MOST_THUMBNAILS = 1500
"""In a larger set only cases with issues have a thumbnail, so that browsers can open the page."""


class CheckedCaseRow(NamedTuple):
    """A case as a row of the table.

    Attributes:
        anchor: HTML id of the row.
        statistics: Measurements of the case.
        issues: Issues of the case, worst first.
        worst: Worst severity; "sound" without issues.
        thumbnail: Whether the thumbnail is shown.
    """

    anchor: str
    statistics: CaseStatistics
    issues: list[Issue]
    worst: str
    thumbnail: bool


class Dot(NamedTuple):
    """A case on a strip: position, text, and the id of its row in the table."""

    x: float
    y: float
    text: str
    anchor: str
    worst: str


class Strip(NamedTuple):
    """One quantity of all cases, as dots along a line."""

    title: str
    low: str
    high: str
    median: str
    dots: list[Dot]


def write_data_check(path: Path, check: DataCheck) -> None:
    """Write the page of a data check.

    Args:
        path: HTML file to write.
        check: Result of the check.

    Raises:
        OutputError: The path cannot be written.
    """
    rows = _rows(check)
    by_case = {row.statistics.name: row.anchor for row in rows}
    sources = list(dict.fromkeys(statistics.source for statistics in check.statistics))
    context = {
        "sources": sources,
        "rows": rows,
        "patients": len({(statistics.source, statistics.patient) for statistics in check.statistics}),
        "groups": [(severity, [f for f in check.issues if f.severity is severity]) for severity in Severity],
        "kinds": Counter(issue.kind for issue in check.issues),
        "by_case": by_case,
        "strips": [strip for strip in (_strip(title, number, rows) for title, number in _NUMBERS) if strip],
        "size_text": size_text,
        "spacing_text": spacing_text,
        "strip_size": (STRIP_WIDTH, STRIP_HEIGHT),
        "now": datetime.now().astimezone(),
        "version": version("pancascade"),
    }
    write_page(path, "data_check.html", context)


def _rows(check: DataCheck) -> list[CheckedCaseRow]:
    few = len(check.statistics) <= MOST_THUMBNAILS
    rows = []
    for number, statistics in enumerate(check.statistics, start=1):
        issues = check.of_case(statistics)
        worst = issues[0].severity.value if issues else "sound"
        rows.append(CheckedCaseRow(f"case-{number}", statistics, issues, worst, few or bool(issues)))
    return rows


Number = Callable[[CaseStatistics], float | None]


def _largest_spacing(statistics: CaseStatistics) -> float | None:
    return max(statistics.spacing_mm) if statistics.spacing_mm else None


def _smallest_spacing(statistics: CaseStatistics) -> float | None:
    return min(statistics.spacing_mm) if statistics.spacing_mm else None


def _pancreas(statistics: CaseStatistics) -> float | None:
    return (statistics.label.pancreas_ml or None) if statistics.label else None


def _tumour(statistics: CaseStatistics) -> float | None:
    return (statistics.label.tumour_ml or None) if statistics.label else None


def _clarity(statistics: CaseStatistics) -> float | None:
    ways = statistics.label.turned if statistics.label else ()
    return next((way.clarity for way in ways if not way.directions), None)


_NUMBERS: tuple[tuple[str, Number], ...] = (
    ("smallest spacing [mm]", _smallest_spacing),
    ("largest spacing [mm]", _largest_spacing),
    ("pancreas [mL]", _pancreas),
    ("tumour [mL]", _tumour),
    ("contrast of the label to its surroundings [standard deviations]", _clarity),
)


def _strip(title: str, number: Number, rows: Sequence[CheckedCaseRow]) -> Strip | None:
    """Return the strip of a quantity; None where fewer than two cases have it."""
    known = [(value, row) for row in rows if (value := number(row.statistics)) is not None]
    if len(known) < 2:
        return None
    values = sorted(value for value, _ in known)
    low, high = values[0], values[-1]
    reach = (high - low) or 1.0
    dots = []
    for place, (value, row) in enumerate(known):
        # Dots at seven heights, so that equal values do not cover each other.
        y = 5 + (place * 3 % 7) * (STRIP_HEIGHT - 10) / 6
        x = 6 + (STRIP_WIDTH - 12) * (value - low) / reach
        dots.append(Dot(round(x, 1), round(y, 1), f"{row.statistics.name}: {value:.3g}", row.anchor, row.worst))
    return Strip(title, f"{low:.3g}", f"{high:.3g}", f"{values[len(values) // 2]:.3g}", dots)
