"""Turn the options of ``pancascade reproduce`` into choices for a table."""

from pathlib import Path
from typing import TYPE_CHECKING

from pancascade.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pancascade.reproduction import Choices, Table


def choose(
    table: "Table",
    *,
    scale: str,
    seed: int,
    epochs: int | None,
    rows: "Sequence[str] | None",
    folds: "Sequence[str] | None",
    masks: "Sequence[str] | None",
) -> "Choices":
    """Return the choices for a table by the options.

    Raises:
        DataError: An option does not fit the table.
    """
    from pancascade.reproduction import Choices
    from pancascade.reproduction.published_tables import SCALES

    chosen = next((one for one in SCALES if one == scale), None)
    if chosen is None:
        raise DataError(f"--scale {scale}: known are {' and '.join(SCALES)}.")
    numbers = [part.strip() for text in folds or () for part in text.split(",")]
    if not all(number.isascii() and number.isdigit() for number in numbers):
        raise DataError(f"--folds {', '.join(folds or ())}: give whole numbers from 0, such as --folds 0 --folds 1.")
    given = dict(_mask_folder(text) for text in masks or ())
    return Choices(
        chosen,
        seed=seed,
        epochs=epochs,
        rows=tuple(dict.fromkeys(name for text in rows or () for name in _row_names(table, text))),
        folds=tuple(dict.fromkeys(map(int, numbers))),
        masks={_row_names(table, name)[0]: folder for name, folder in given.items()},
    )


def _row_names(table: "Table", text: str) -> list[str]:
    """Return the rows that a text names: one, in any case, or several separated by commas."""
    known = {row.name.lower(): row.name for row in table.rows}
    if text.lower() in known:
        return [known[text.lower()]]
    parts = [part.strip() for part in text.split(",")]
    strange = next((part for part in parts if part.lower() not in known), None)
    if strange is not None:
        raise DataError(f"--rows {strange}: no such row; known are {'; '.join(known.values())}.")
    return [known[part.lower()] for part in parts]


def _mask_folder(text: str) -> tuple[str, Path]:
    name, equals, folder = text.rpartition("=")
    if not equals or not name:
        raise DataError(f"--masks {text}: write it as ROW=FOLDER.")
    return name, Path(folder)
