"""Tables beside the masks: patient of each case, and likelihood of a lesion."""

from pathlib import Path

from pancascade.files.csv_tables import TableRow, read_table
from pancascade.files.file_names import abbreviated


def read_patients(path: Path) -> dict[str, str]:
    """Return the patient of each case, from a CSV with the columns case and patient.

    Raises:
        DataError: The file cannot be read, lacks a column, or names a case twice.
    """
    return {case: row["patient"] for case, row in _read(path, "patient").items()}


def read_scores(path: Path) -> dict[str, float]:
    """Return the likelihood of a lesion of each case, from a CSV with the columns case and score.

    Raises:
        DataError: The file cannot be read, lacks a column, names a case twice, or a score is not a number.
    """
    return {case: row.number("score") for case, row in _read(path, "score").items()}


def _read(path: Path, column: str) -> dict[str, TableRow]:
    """Return the row of each case."""
    table: dict[str, TableRow] = {}
    for row in read_table(path, required=("case", column)):
        if row["case"] in table:
            raise row.fault(f"names the case {abbreviated(row['case'])} again. Keep one of the lines.")
        table[row["case"]] = row
    return table
