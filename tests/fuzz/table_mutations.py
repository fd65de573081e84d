"""Tables as spreadsheets, editors and haste write them."""

import csv
import io
from collections.abc import Callable
from random import Random

from byte_mutations import damaged
from text_mutations import other_encoding

Rows = list[list[str]]

ODD_CELLS = (
    *(
        "",
        " ",
        "nan",
        "NaN",
        "inf",
        "-1",
        "0",
        "1e400",
        "9" * 5000,
        "x" * 300,
        "x" * 200_000,
        "ä",
        "Mu\u0308ller",
        "💥",
    ),
    *("..", "/", "../../x", "/etc/passwd", "a,b", 'a"b', "a\nb", "=1+1", "0,5", "\x00", "\u200b", "NULL", "p0 "),
)


def mutated_table(content: bytes, random: Random) -> tuple[str, bytes]:
    """A table changed in a cell, in its rows and columns, in how it is written, or in its bytes."""
    draw = random.random()
    rows = list(csv.reader(io.StringIO(content.decode())))
    if draw < 0.4:
        row, column = random.randrange(len(rows)), random.randrange(len(rows[0]))
        rows[row][column] = random.choice(ODD_CELLS)
        return f"cell {row}, {column} = {rows[row][column]!r}"[:100], _written(rows)
    if draw < 0.65:
        name = random.choice(list(_SHAPES))
        return name, _written(_SHAPES[name](rows, random))
    if draw < 0.8:
        name = random.choice(list(_MANNERS))
        return name, _MANNERS[name](rows)
    if draw < 0.9:
        return other_encoding(content, random)
    return damaged(content, random)


def _written(rows: Rows, *, separator: str = ",", ending: str = "\n") -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator=ending).writerows(rows)
    return text.getvalue().encode()


def _short_row(rows: Rows, random: Random) -> Rows:
    rows[random.randrange(1, len(rows))].pop()
    return rows


def _long_row(rows: Rows, random: Random) -> Rows:
    rows[random.randrange(len(rows))].append("more")
    return rows


def _row_twice(rows: Rows, random: Random) -> Rows:
    return [*rows, rows[random.randrange(len(rows))]]


def _row_gone(rows: Rows, random: Random) -> Rows:
    del rows[random.randrange(len(rows))]
    return rows


def _column_gone(rows: Rows, random: Random) -> Rows:
    column = random.randrange(len(rows[0]))
    return [row[:column] + row[column + 1 :] for row in rows]


def _column_twice(rows: Rows, random: Random) -> Rows:
    column = random.randrange(len(rows[0]))
    return [[*row, row[column]] for row in rows]


def _columns_turned(rows: Rows, _: Random) -> Rows:
    return [row[::-1] for row in rows]


def _blank_row(rows: Rows, random: Random) -> Rows:
    rows.insert(random.randrange(len(rows)), [])
    return rows


def _header_only(rows: Rows, _: Random) -> Rows:
    return rows[:1]


def _one_patient(rows: Rows, _: Random) -> Rows:
    return [rows[0], *([*row[:-1], "p"] for row in rows[1:])]


_SHAPES: dict[str, Callable[[Rows, Random], Rows]] = {
    "short row": _short_row,
    "long row": _long_row,
    "row twice": _row_twice,
    "row gone": _row_gone,
    "column gone": _column_gone,
    "column twice": _column_twice,
    "columns turned": _columns_turned,
    "blank row": _blank_row,
    "header only": _header_only,
    "one value in the last column": _one_patient,
}
_MANNERS: dict[str, Callable[[Rows], bytes]] = {
    "semicolons": lambda rows: _written(rows, separator=";"),
    "tabs": lambda rows: _written(rows, separator="\t"),
    "semicolons, UTF-16": lambda rows: _written(rows, separator=";").decode().encode("utf-16"),
    "byte order mark": lambda rows: b"\xef\xbb\xbf" + _written(rows),
    "line ends of Windows": lambda rows: _written(rows, ending="\r\n"),
    "line ends of old Macs": lambda rows: _written(rows, ending="\r"),
    "capitals in the header": lambda rows: _written([[name.upper() for name in rows[0]], *rows[1:]]),
    "spaces round names": lambda rows: _written([[f" {name} " for name in rows[0]], *rows[1:]]),
    "sep= in the first line": lambda rows: b"sep=,\n" + _written(rows),
    "all quoted": lambda rows: "\n".join(",".join(f'"{cell}"' for cell in row) for row in rows).encode(),
    "open quote": lambda rows: b'"' + _written(rows),
    "page of HTML": lambda _: b"<html><body><table><tr><td>x</td></tr></table></body></html>",
    "a spreadsheet": lambda _: b"PK\x03\x04" + bytes(200),
}
