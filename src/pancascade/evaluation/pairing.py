"""Matching of predictions and references by file name."""

from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from pancascade.errors import DataError
from pancascade.files.file_names import READABLE_SUFFIXES, abbreviated, case_name, match_names, stem, text_name
from pancascade.messages.names_only import names_only

OWN_MASK = "segmentation.nii.gz"
"""File that `pancascade segment` writes in a separate folder for each scan."""


class Failure(NamedTuple):
    """A case without results, and the reason."""

    case: str
    message: str


def find_masks(folder: Path) -> tuple[dict[str, Path], list[Failure]]:
    """Return the masks of a folder by case: image files by name without suffix, and subfolders of `segment`.

    If a folder has only subfolders, one per patient, the only image file of each is its patient's mask.

    Args:
        folder: A folder, or a single file, whose name is the case.

    Returns:
        Masks sorted by case, and failures for duplicate cases.

    Raises:
        DataError: No such folder, or no masks in it.
    """
    if folder.is_file():
        return {case_name(folder): folder}, []
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such file or folder. Check the path.")
    found: dict[str, list[Path]] = {}
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror}). Change its permissions.") from error
    for path in paths:
        if path.name.startswith("."):
            continue
        if path.is_dir() and (path / OWN_MASK).is_file():
            found.setdefault(text_name(path.name), []).append(path / OWN_MASK)
        elif _is_image(path):
            found.setdefault(case_name(path), []).append(path)
    found = found or {text_name(path.name): [image] for path in paths if (image := _only_image(path)) is not None}
    if not found:
        raise DataError(f"{folder}: holds no masks ({', '.join(READABLE_SUFFIXES)}). Check the path.")
    twice = [
        Failure(
            case,
            names_only(f"{' and '.join(map(str, paths))}: two masks of one name in {folder}. Remove or rename one."),
        )
        for case, paths in found.items()
        if len(paths) > 1
    ]
    return {case: paths[0] for case, paths in sorted(found.items()) if len(paths) == 1}, twice


def _is_image(path: Path) -> bool:
    return stem(path) != path.name and not path.name.startswith(".") and path.is_file()


def _only_image(folder: Path) -> Path | None:
    """Return the image file of a patient's folder if there is exactly one, else None."""
    if folder.name.startswith(".") or not folder.is_dir():
        return None
    try:
        images = [path for path in folder.iterdir() if _is_image(path)]
    except OSError:
        return None
    return images[0] if len(images) == 1 else None


class Pairs(NamedTuple):
    """Matched masks, and failures.

    Attributes:
        masks: (reference, prediction) by case, sorted by case; None for a missing prediction.
        failures: Duplicate names, and predictions without a reference.
    """

    masks: dict[str, tuple[Path, Path | None]]
    failures: tuple[Failure, ...]

    @property
    def predictions(self) -> dict[str, Path]:
        """The matched predictions, by case."""
        return {case: prediction for case, (_, prediction) in self.masks.items() if prediction is not None}

    def without(self, cases: Collection[str]) -> "Pairs":
        """Return the pairs without these cases, matched or not."""
        masks = {case: masks for case, masks in self.masks.items() if case not in cases}
        return Pairs(masks, tuple(failure for failure in self.failures if failure.case not in cases))


def pair(predictions: Path, reference: Path) -> Pairs:
    """Match predictions with references by name; two single files always match.

    Without a prediction of exactly the reference's name, the only one that differs in upper case, accents, or endings
    of tools (``_0000``, ``.seg.nrrd``) is used.

    Raises:
        DataError: A folder is missing or empty, one path is a file and the other a folder, or no names match.
    """
    if predictions.is_file() != reference.is_file() and predictions.exists() and reference.exists():
        raise DataError(f"{predictions} and {reference}: one is a file, the other a folder. Give two of a kind.")
    if reference.is_file() and predictions.is_file():
        return Pairs({case_name(reference): (reference, predictions)}, ())
    true, true_twice = find_masks(reference)
    found, found_twice = find_masks(predictions)
    bad = {failure.case for failure in (*true_twice, *found_twice)}
    failures = [*true_twice, *found_twice]
    matched = match_names(true, found)
    used = set(matched.values())
    for case, path in sorted(found.items()):
        if path not in used and case not in bad:
            near = get_close_matches(case, true, n=1)
            hint = f" Is it {near[0]}?" if near else ""
            failures.append(Failure(case, names_only(f"{path}: no reference of this name in {reference}.{hint}")))
    masks = {case: (path, matched.get(case)) for case, path in true.items() if case not in bad}
    if not any(prediction for _, prediction in masks.values()) and not bad:
        raise DataError(
            f"{abbreviated(predictions.name)} and {abbreviated(reference.name)}: no two masks have the same name "
            f"(for example {abbreviated(next(iter(found)))}, {abbreviated(next(iter(true)))}). Rename the predictions."
        )
    return Pairs(masks, tuple(failures))
