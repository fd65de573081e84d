"""Names of cases from their files; folders distinguish files of the same name."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from pancascade.files.file_names import case_name


def distinct_names(images: Sequence[str]) -> list[str]:
    """Return a name for each image from its file: ``p1/ct.nii.gz`` is ct, or p1_ct if another folder has a ct too.

    Args:
        images: Paths with slashes or backslashes.

    Returns:
        Names in the same order. Equal paths have the same name.
    """
    paths = [PurePosixPath(image.replace("\\", "/")) for image in images]
    by_name: dict[str, set[PurePosixPath]] = defaultdict(set)
    for path in paths:
        by_name[_name(path, 1).casefold()].add(path)
    return [_name(path, _depth(by_name[_name(path, 1).casefold()])) for path in paths]


def _depth(alike: set[PurePosixPath]) -> int:
    """Return the number of path parts, from the end, that distinguish the paths."""
    deepest = max(len(path.parts) for path in alike)
    for depth in range(1, deepest):
        if max(Counter(_name(path, depth).casefold() for path in alike).values()) == 1:
            return depth
    return deepest


def _name(path: PurePosixPath, depth: int) -> str:
    folders = [part for part in path.parts[-depth:-1] if part.strip("/.")]
    return "_".join([*folders, case_name(path)])
