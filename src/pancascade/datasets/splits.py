"""Splits by patient: fixed lists in files, so that training and testing never share a patient."""

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pancascade.datasets.case import Case
from pancascade.errors import DataError
from pancascade.io import written_whole

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")


def read_split(path: Path) -> dict[Part, frozenset[str]]:
    """Patients of each part, from a JSON file {"train": [...], "validation": [...], "test": [...]}.

    Raises:
        DataError: The file is missing or damaged, or a patient stands in two parts.
    """
    try:
        listed = json.loads(path.read_text())
        if any(not isinstance(listed[part], list) for part in PARTS):
            raise TypeError("a part is no list")
        split = {part: frozenset(map(str, listed[part])) for part in PARTS}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: not a split file ({error!r}). It needs lists of patients: train, validation, test."
        ) from error
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        shared = split[one] & split[other]  # type: ignore[index]
        if shared:
            raise DataError(f"{path}: {', '.join(sorted(shared))} in both {one} and {other}. Keep one.")
    return split


def draw_split(patients: Iterable[str], *, seed: int, path: Path) -> dict[Part, frozenset[str]]:
    """Draw 70 / 10 / 20 % of the patients for training, validation and test, and write them down.

    Args:
        patients: In any order, repeated or not.
        seed: Of the draw; the same patients and seed give the same split.
        path: JSON file that `read_split` reads.

    Raises:
        DataError: Fewer than three patients.
        OutputError: The file cannot be written.
    """
    names = sorted(set(patients))
    if len(names) < len(PARTS):
        raise DataError(f"{len(names)} patients cannot be split into {', '.join(PARTS)}. Add patients.")
    random.Random(seed).shuffle(names)
    validation, test = max(1, round(0.1 * len(names))), max(1, round(0.2 * len(names)))
    parts = (names[validation + test :], names[:validation], names[validation : validation + test])
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(dict(zip(PARTS, map(sorted, parts), strict=True)), indent=1))
    return read_split(path)


def cases_of(cases: Iterable[Case], patients: frozenset[str]) -> list[Case]:
    """The cases of these patients, in their order.

    Raises:
        DataError: No case belongs to any of the patients.
    """
    chosen = [case for case in cases if case.patient in patients]
    if not chosen:
        raise DataError(
            f"No case belongs to the {len(patients)} patients of the split. Is it another data set's? "
            "Name a split of your own in the recipe, or split: seeded."
        )
    return chosen
