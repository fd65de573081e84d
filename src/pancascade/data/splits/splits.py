"""Splits by patient: lists in files, so that training and testing never share a patient.

A file holds three parts, ``{"train": [...], "validation": [...], "test": [...]}``, or the folds of a cross-validation,
``{"folds": [[...], [...], ...]}``: one fold is the test part, and the others are the train part. All other keys
(``note``, ``design``, ``seed`` and so on) record the origin and are not needed for reading.
"""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pancascade.data.readers.case import Case
from pancascade.errors import DataError, listed
from pancascade.files.atomic import written_whole
from pancascade.files.documents import read_json, reason
from pancascade.files.file_names import composed
from pancascade.files.given_paths import given_path

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")


def read_split(path: str | Path, *, fold: int | None = None) -> dict[Part, frozenset[str]]:
    """Read the patients of each part.

    Args:
        path: JSON file of parts or folds.
        fold: For a file of folds: index of the test fold, from 0. The others are the train part. Validation is empty,
            because the reported fold must not select the weights.

    Raises:
        DataError: The file is missing or damaged, a patient is in two parts or folds, or the fold does not exist.
    """
    path = given_path(path, what="path")
    try:
        content = read_json(path)
        folded = isinstance(content, dict) and "folds" in content
        lists = _lists(content, folded=folded)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path.name}: not a split file ({reason(error)}). "
            "It needs lists of patients: train, validation, test; or folds."
        ) from error
    parts = [frozenset(composed(str(name)) for name in one) for one in lists]
    names = [f"fold {number}" for number in range(len(parts))] if folded else list(PARTS)
    _require_apart(path, dict(zip(names, parts, strict=True)))
    if not folded and fold is not None:
        raise DataError(f"{path.name}: holds train, validation and test, no folds. Leave fold {fold} out.")
    if folded:
        parts = _parts_of_fold(parts, fold, path)
    return dict(zip(PARTS, parts, strict=True))


def count_folds(path: Path) -> int:
    """Return the number of folds of a split file; 0 for a file of parts or an unreadable file."""
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return 0
    folds = content.get("folds") if isinstance(content, dict) else None
    return len(folds) if isinstance(folds, list) else 0


def _lists(content: Any, *, folded: bool) -> list[list[str | int]]:
    if not isinstance(content, dict):
        raise ValueError("no JSON object")
    lists = content["folds"] if folded else [content[part] for part in PARTS]
    if not isinstance(lists, list) or any(not isinstance(one, list) for one in lists):
        raise ValueError("a part is no list")
    if any(not isinstance(name, (str, int)) or isinstance(name, bool) for one in lists for name in one):
        raise ValueError("a patient is no text")
    return lists


def _require_apart(path: Path, parts: Mapping[str, frozenset[str]]) -> None:
    part_of: dict[str, str] = {}
    for name, patients in parts.items():
        both = sorted(patients & part_of.keys())
        if both:
            raise DataError(f"{path.name}: {listed(both)} in both {part_of[both[0]]} and {name}. Keep one.")
        part_of |= dict.fromkeys(patients, name)


def _parts_of_fold(folds: Sequence[frozenset[str]], fold: int | None, path: Path) -> list[frozenset[str]]:
    if len(folds) < 2 or not all(folds):
        raise DataError(
            f"{path.name}: holds {len(folds)} folds, or an empty one. Draw it again with `pancascade data split`."
        )
    if fold is None or not 0 <= fold < len(folds):
        asked = "none was named" if fold is None else f"there is no fold {fold}"
        raise DataError(
            f"{path.name}: holds {len(folds)} folds, and {asked}. Name one, 0 to {len(folds) - 1}, as fold."
        )
    others = frozenset().union(*(one for number, one in enumerate(folds) if number != fold))
    return [others, frozenset(), folds[fold]]


def write_split(
    path: Path,
    patients: Mapping[Part, Iterable[str]] | Sequence[Iterable[str]],
    *,
    about: Mapping[str, Any] | None = None,
) -> None:
    """Write a file that `read_split` reads.

    Args:
        path: File to write.
        patients: Patients of each part, or of each fold.
        about: Record of the origin; written first.

    Raises:
        OutputError: The file cannot be written.
    """
    lists: dict[str, Any]
    if isinstance(patients, Mapping):
        lists = {part: sorted(patients[part]) for part in PARTS}
    else:
        lists = {"folds": [sorted(fold) for fold in patients]}
    with written_whole(path) as temporary:
        text = json.dumps({**(about or {}), **lists}, indent=1, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def draw_split(patients: Iterable[str], *, seed: int, path: Path) -> dict[Part, frozenset[str]]:
    """Draw 70 / 10 / 20 % of the patients for training, validation and test, and write the split file.

    Args:
        patients: Patients in any order, with or without repetition.
        seed: Seed of the draw; the same patients and seed give the same split.
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
    write_split(path, dict(zip(PARTS, parts, strict=True)))
    return read_split(path)


def cases_of(cases: Iterable[Case], patients: frozenset[str]) -> list[Case]:
    """Return the cases of these patients, in the given order.

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
