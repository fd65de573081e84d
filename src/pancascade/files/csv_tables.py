"""Reading of CSV tables from Excel, LibreOffice and scripts, in several encodings and separators."""

import csv
import io
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pancascade.errors import DataError
from pancascade.files.file_names import abbreviated, is_possible
from pancascade.files.text_files import read_text

SEPARATORS = ",;\t|"
LONGEST_CELL = 1000
"""Most characters of a required cell; more means a damaged file."""

_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+", re.ASCII)


@dataclass(frozen=True)
class TableRow:
    """One row of a table.

    Attributes:
        table: Name of the file, for messages.
        line: Line in the file, from 1.
        cells: Text by the column's lower-case name, without surrounding spaces; "" for an empty cell.
        separator: Separator of the cells.
    """

    table: str
    line: int
    cells: Mapping[str, str]
    separator: str = ","

    def __getitem__(self, column: str) -> str:
        """Return the text of a cell; "" if the table has no such column."""
        return self.cells.get(column, "")

    def number(self, column: str) -> float:
        """Return the number of a cell, with a decimal point or a decimal comma.

        Raises:
            DataError: The cell is no number, or its comma may separate thousands.
        """
        text = self[column].replace("−", "-")
        if not _NUMBER.fullmatch(text):
            raise self.fault(f"{column} is {abbreviated(text)!r}, not a number. Write it like -150 or 0.75.")
        if self.separator == "," and _THOUSANDS.fullmatch(text):
            raise self.fault(f"{column} is {text!r}: a decimal comma, or thousands? Write it with a point, or without.")
        return float(text.replace(",", "."))

    def whole_number(self, column: str) -> int | None:
        """Return the integer of a cell; None if it is empty.

        Raises:
            DataError: The cell is no integer.
        """
        if not self[column]:
            return None
        number = self.number(column)
        if not number.is_integer():
            raise self.fault(f"{column} is {abbreviated(self[column])!r}, not a whole number.")
        return int(number)

    def file_name(self, column: str) -> str:
        """Return the text of a cell that is a file name or a part of one.

        Raises:
            DataError: The text is impossible as a file name.
        """
        text = self[column]
        if not is_possible(text):
            raise self.fault(f"{column} is {abbreviated(text)!r}, which no file can be called. Correct the cell.")
        return text

    def fault(self, sentence: str) -> DataError:
        """Return an error about this row."""
        return DataError(f"{self.table}, line {self.line}: {sentence}")


def read_table(path: Path, *, required: Sequence[str], columns: Sequence[str] = ()) -> list[TableRow]:
    """Read the rows of a CSV file from any program.

    Encodings: UTF-8, UTF-16 and UTF-32 with or without byte order mark, and Windows-1252 (Latin-1). Separators: commas,
    semicolons, tabs or bars. Spaces around cells and upper case in the header are ignored. Accented letters are
    composed (NFC). Rows without any text are left out.

    Args:
        path: The file.
        required: Columns that every row must fill, by their lower-case names.
        columns: Further required columns, whose cells may be empty.

    Raises:
        DataError: The file cannot be read, is no text, lacks one of these columns or has no row, a row lacks a cell or
            has too many, or a cell is too long.
    """
    text = read_text(path)
    wanted = (*required, *columns)
    first, _, rest = text.partition("\n")
    reported = re.fullmatch(r'"?sep=(.)"?\s*', first, re.IGNORECASE)  # Excel writes and reads such a line
    separator = reported[1] if reported else _separator(first, wanted)
    lines = _Lines(rest if reported else text, separator, path.name, skipped=1 if reported else 0)
    header = [_column_name(cell) for _, cells in lines.take(1) for cell in cells]
    missing = [column for column in wanted if column not in header]
    if missing:
        raise DataError(
            f"{path.name}: no column {', '.join(missing)}. Its first line must name the columns "
            f"{', '.join(wanted)}; it begins {abbreviated(first.strip())!r}."
        )
    twice = sorted({column for column in header if column and header.count(column) > 1})
    if twice:
        raise DataError(f"{path.name}: has two columns {abbreviated(twice[0])}. Rename or remove one.")
    rows = [_row(path.name, line, header, cells, required, separator) for line, cells in lines.take() if any(cells)]
    if not rows:
        raise DataError(f"{path.name}: has a header but no rows. Add at least one.")
    return rows


def read_cells(path: Path) -> list[list[str]]:
    """Read the cells of a CSV file with commas and without header, line by line.

    Args:
        path: The file.

    Raises:
        DataError: The file cannot be read, is no text, or is damaged.
    """
    return [cells for _, cells in _Lines(read_text(path), ",", path.name, skipped=0).take()]


def _row(
    table: str, line: int, header: Sequence[str], cells: Sequence[str], required: Collection[str], separator: str
) -> TableRow:
    row = TableRow(table, line, {name: cell for name, cell in zip(header, cells, strict=False) if name}, separator)
    if any(cells[len(header) :]):
        raise row.fault(
            f"{len(cells)} cells under {len(header)} columns. Put cells that hold a {separator!r} in quotes."
        )
    for column in required:
        if not row[column]:
            raise row.fault(f"no {column}. Fill in the cell, or remove the line.")
        if len(row[column]) > LONGEST_CELL:
            raise row.fault(f"{column} has {len(row[column])} characters, at most {LONGEST_CELL}. Correct the cell.")
        if "\n" in row[column]:
            raise row.fault(f"{column} holds a line break. Write it on one line.")
    return row


class _Lines:
    """Reader of rows of cells, with the line where each starts."""

    def __init__(self, text: str, separator: str, table: str, *, skipped: int) -> None:
        self._reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        self._table = table
        self._skipped = skipped

    def take(self, count: int | None = None) -> list[tuple[int, list[str]]]:
        """Return ``count`` further rows, or all."""
        found: list[tuple[int, list[str]]] = []
        line = self._reader.line_num
        try:
            while count is None or len(found) < count:
                line = self._reader.line_num
                found.append((line + self._skipped + 1, [_tidy(cell) for cell in next(self._reader)]))
        except StopIteration:
            pass
        except csv.Error as error:
            raise DataError(
                f"{self._table}, line {line + self._skipped + 1}: {error}. Correct the quotes or the cell, or save the "
                "table again."
            ) from error
        return found


def _separator(header: str, required: Collection[str]) -> str:
    """Return the separator that splits the header into the required columns, or into most columns."""

    def merit(separator: str) -> tuple[int, int]:
        names = [_column_name(cell.strip().strip('"')) for cell in header.split(separator)]
        return len({*required} & {*names}), len(names)

    return max(SEPARATORS, key=merit)


def _column_name(cell: str) -> str:
    return re.sub(r"[\s-]+", "_", _tidy(cell).casefold())


def _tidy(cell: str) -> str:
    return unicodedata.normalize("NFC", cell.strip())
