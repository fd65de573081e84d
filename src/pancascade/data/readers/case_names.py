"""Names of cases after their files; where files have one name, their folders tell them apart."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from pancascade.files.file_names import case_name


def distinct_names(images: Sequence[str]) -> list[str]:
    """A name for each image, after its file: ``p1/ct.nii.gz`` is ct, or p1_ct where another folder has a ct, too.

    Args:
        images: Paths as a list names them, with slashes or backslashes.

    Returns:
        In the same order. Paths that are named twice have one name.
    """
    paths = [PurePosixPath(image.replace("\\", "/")) for image in images]
    by_name: dict[str, set[PurePosixPath]] = defaultdict(set)
    for path in paths:
        by_name[_name(path, 1).casefold()].add(path)
    return [_name(path, _depth(by_name[_name(path, 1).casefold()])) for path in paths]


def _depth(alike: set[PurePosixPath]) -> int:
    """Parts of the paths, from the end, that it takes to tell them apart."""
    deepest = max(len(path.parts) for path in alike)
    for depth in range(1, deepest):
        if max(Counter(_name(path, depth).casefold() for path in alike).values()) == 1:
            return depth
    return deepest


def _name(path: PurePosixPath, depth: int) -> str:
    folders = [part for part in path.parts[-depth:-1] if part.strip("/.")]
    return "_".join([*folders, case_name(path)])
