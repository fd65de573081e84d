"""The split of a table, drawn by its paper's design or given as a file, and its folds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pancascade.data.splits.split_designs import draw_design, find_design
from pancascade.data.splits.splits import PARTS, read_split, write_split
from pancascade.errors import DataError
from pancascade.files.documents import read_json, reason
from pancascade.reproduction.counted_cases import CountedCases
from pancascade.reproduction.published_tables import Table

SPLIT = "split.json"


@dataclass(frozen=True)
class Fold:
    """One division of the patients.

    Attributes:
        number: Number of the fold; None for a split without folds.
        train: Training cases.
        test: Test cases.
    """

    number: int | None
    train: CountedCases
    test: CountedCases


def make_split(
    table: Table, cases: CountedCases, *, seed: int, path: Path, given: Path | None, again: bool
) -> tuple[str, ...]:
    """Write the split of a table: by its paper's design, or a given one.

    Args:
        table: Table with the design.
        cases: All cases.
        seed: Seed of the random draw.
        path: File to write.
        given: A given split file, which is copied; None draws one.
        again: Whether an existing split is kept.

    Returns:
        Notes about it, one sentence each.

    Raises:
        DataError: There are too few patients, the given file is no split, or it differs from the existing one.
        OutputError: The file cannot be written.
    """
    if given is not None:
        try:
            content = read_json(given)
        except (OSError, ValueError) as error:
            raise DataError(f"{given.name}: not a split file ({reason(error)}).") from error
        read_split(given, fold=0 if isinstance(content, dict) and "folds" in content else None)
        if again and path.is_file() and _kept_lists(path) != _lists(content):
            raise DataError(f"{given.name}: is not the split that this folder was begun with. Choose another --out.")
        parts = content.get("folds") or {part: content[part] for part in PARTS}
        write_split(path, parts, about={"note": str(content.get("note", ""))})
        return (f"Split of your own, {given.name}, in place of the design {table.data.design}.",)
    drawn = draw_design(find_design(table.data.design), cases.patients, seed=seed, strata=cases.strata())
    if not (again and path.is_file()):
        drawn.write(path, about={"note": drawn.note, "design": drawn.design.name, "seed": seed})
    return drawn.sentences


def _lists(content: Any) -> list[list[str]]:
    """Return the patients of each part or fold of a split file's content, sorted."""
    parts = content["folds"] if "folds" in content else [content[part] for part in PARTS]
    return [sorted(map(str, part)) for part in parts]


def _kept_lists(path: Path) -> list[list[str]] | None:
    """Those of the split that a folder was begun with; None of one that was damaged since."""
    try:
        return _lists(read_json(path))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def folds_of(path: Path, cases: CountedCases, wanted: Sequence[int]) -> tuple[Fold, ...]:
    """Return the folds of a split that are run.

    Args:
        path: Split file.
        cases: All cases.
        wanted: Numbers of the folds; empty for all.

    Raises:
        DataError: The split has no such fold, or a fold has no case.
    """
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name}: not a split file ({reason(error)}). Choose another --out folder.") from error
    if not isinstance(content, dict) or not isinstance(content.get("folds", []), list):
        raise DataError(f"{path.name}: not a split file. Choose another --out folder.")
    numbers = range(len(content["folds"])) if "folds" in content else [None]
    strange = [fold for fold in wanted if fold not in numbers]
    if strange:
        known = "no folds" if "folds" not in content else f"folds 0 to {len(content['folds']) - 1}"
        raise DataError(f"--folds {strange[0]}: the split has {known}.")
    folds = []
    for number in numbers:
        if wanted and number not in wanted:
            continue
        split = read_split(path, fold=number)
        train, test = cases.of(split["train"]), cases.of(split["test"])
        if not train.cases or not test.cases:
            raise DataError(f"{path.name}: a part of it has no case of this data set. Is it another data set's?")
        folds.append(Fold(number, train, test))
    return tuple(folds)
