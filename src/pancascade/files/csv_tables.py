"""Tables that people write: CSV as Excel, LibreOffice and scripts save it, in any encoding and with any separator."""

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
"""Characters of a cell that is used; more is a damaged file."""

_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+", re.ASCII)


@dataclass(frozen=True)
class TableRow:
    """One row of a table.

    Attributes:
        table: Name of the file, for messages.
        line: Of the file, counted from 1.
        cells: By the column's name in small letters, no spaces around; "" for an empty cell.
        separator: Between cells.
    """

    table: str
    line: int
    cells: Mapping[str, str]
    separator: str = ","

    def __getitem__(self, column: str) -> str:
        """The text of a cell; "" where the table has no such column."""
        return self.cells.get(column, "")

    def number(self, column: str) -> float:
        """The number of a cell, with a decimal point or a decimal comma.

        Raises:
            DataError: It is none, or its comma may part thousands.
        """
        text = self[column].replace("−", "-")
        if not _NUMBER.fullmatch(text):
            raise self.fault(f"{column} is {abbreviated(text)!r}, not a number. Write it like -150 or 0.75.")
        if self.separator == "," and _THOUSANDS.fullmatch(text):
            raise self.fault(f"{column} is {text!r}: a decimal comma, or thousands? Write it with a point, or without.")
        return float(text.replace(",", "."))

    def whole_number(self, column: str) -> int | None:
        """The whole number of a cell, None where it is empty.

        Raises:
            DataError: It is none.
        """
        if not self[column]:
            return None
        number = self.number(column)
        if not number.is_integer():
            raise self.fault(f"{column} is {abbreviated(self[column])!r}, not a whole number.")
        return int(number)

    def file_name(self, column: str) -> str:
        """The text of a cell that names a file, or a part of its name.

        Raises:
            DataError: No file can have so long a name.
        """
        text = self[column]
        if not is_possible(text):
            raise self.fault(f"{column} is {abbreviated(text)!r}, which no file can be called. Mend the cell.")
        return text

    def fault(self, sentence: str) -> DataError:
        """An error about this row, to be raised."""
        return DataError(f"{self.table}, line {self.line}: {sentence}")


def read_table(path: Path, *, required: Sequence[str], columns: Sequence[str] = ()) -> list[TableRow]:
    """The rows of a CSV file, whatever programme saved it.

    UTF-8, UTF-16 and UTF-32 with or without a byte order mark, and Windows-1252 (Latin-1); separated by commas,
    semicolons, tabs or bars. Spaces around names do not matter, nor do capitals in the header; letters with accents are
    composed (NFC). Rows without any text are left out.

    Args:
        path: The file.
        required: Columns that every row must have filled, by their names in small letters.
        columns: Further ones that must be there, whose cells may be empty.

    Raises:
        DataError: The file cannot be read, is no text, has not these columns or no row, a row lacks a cell or has too
            many, or a cell is too long.
    """
    text = read_text(path)
    wanted = (*required, *columns)
    first, _, rest = text.partition("\n")
    reported = re.fullmatch(r'"?sep=(.)"?\s*', first, re.IGNORECASE)  # Excel writes and reads this line
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
    """The cells of a CSV file with commas, line by line, of a program that gives it no header.

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
            raise row.fault(f"{column} has {len(row[column])} characters, at most {LONGEST_CELL}. Mend the cell.")
        if "\n" in row[column]:
            raise row.fault(f"{column} holds a line break. Write it on one line.")
    return row


class _Lines:
    """Rows of cells with the line on which each begins."""

    def __init__(self, text: str, separator: str, table: str, *, skipped: int) -> None:
        self._reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        self._table = table
        self._skipped = skipped

    def take(self, count: int | None = None) -> list[tuple[int, list[str]]]:
        """So many further rows, or all."""
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
                f"{self._table}, line {line + self._skipped + 1}: {error}. Mend the quotes or the cell, or save the "
                "table again."
            ) from error
        return found


def _separator(header: str, required: Collection[str]) -> str:
    """The one that parts the header into the wanted columns, or into most."""

    def merit(separator: str) -> tuple[int, int]:
        names = [_column_name(cell.strip().strip('"')) for cell in header.split(separator)]
        return len({*required} & {*names}), len(names)

    return max(SEPARATORS, key=merit)


def _column_name(cell: str) -> str:
    return re.sub(r"[\s-]+", "_", _tidy(cell).casefold())


def _tidy(cell: str) -> str:
    return unicodedata.normalize("NFC", cell.strip())
