"""The table of many results, for spreadsheets."""

import csv
import re
from pathlib import Path

from pancascade.files.atomic import written_whole
from pancascade.files.given_paths import real_path
from pancascade.report.scan.cohort import Cohort, CohortRow

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of text that spreadsheets take for a formula."""


_UNWRITABLE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Surrogate characters that do not stand for a byte of a file name."""


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
            shown = {name: getattr(row, name) for name in names} | {"folder": real_path(row.folder).name}
            writer.writerow([*map(_shown, shown.values()), len(row.warnings), codes])


def _shown(value: object) -> object:
    """Return text that spreadsheets show unchanged, without characters that no file can hold."""
    if not isinstance(value, str | Path):
        return value
    text = _UNWRITABLE.sub("?", str(value))
    return f"'{text}" if text.startswith(_FORMULA) else text
