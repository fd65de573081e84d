"""Tables beside the masks: whose each case is, and how likely a patient has a lesion."""

import csv
import math
from pathlib import Path

from pancascade.errors import DataError


def read_patients(path: Path) -> dict[str, str]:
    """Patient of each case, from a CSV with the columns case and patient.

    Raises:
        DataError: The file cannot be read, lacks a column, or names a case twice.
    """
    return _read(path, "patient")


def read_scores(path: Path) -> dict[str, float]:
    """Likelihood of a lesion of each case, from a CSV with the columns case and score.

    Raises:
        DataError: The file cannot be read, lacks a column, names a case twice, or a score is not a number.
    """
    scores = {}
    for case, text in _read(path, "score").items():
        try:
            scores[case] = float(text)
        except ValueError:
            scores[case] = math.nan
        if not math.isfinite(scores[case]):
            raise DataError(f"{path}: the score of {case} is {text!r}, not a number. Mend or remove the line.")
    return scores


def _read(path: Path, column: str) -> dict[str, str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a table ({error}). Give a CSV file.") from error
    if not rows or not rows[0].keys() >= {"case", column}:
        raise DataError(f"{path}: needs the columns case and {column}, and at least one line.")
    table: dict[str, str] = {}
    for row in rows:
        if row["case"] in table:
            raise DataError(f"{path}: names the case {row['case']} twice. Keep one of the lines.")
        table[row["case"]] = row[column] or ""
    return table
