"""Image files of a data set that none of its cases uses."""

import os
from collections.abc import Iterable
from pathlib import Path

from pancascade.data.readers import Case
from pancascade.files.file_names import READABLE_SUFFIXES

WITHOUT_REFERENCE = frozenset({"imagesTs", "labelsTs"})
"""Folders of test images, which are ignored."""

_PICTURES = (".png", ".jpg", ".jpeg")


def find_loose(folder: Path, cases: Iterable[Case]) -> list[Path]:
    """Return image and label files below a folder that no case uses, sorted, without hidden files and test images.

    Args:
        folder: Folder of the data set.
        cases: All cases of the data set.
    """
    used = [path for case in cases for path in case.files]
    files = {path for path in used if not path.is_dir()}
    series = {path for path in used if path.is_dir()}
    # Pictures count only if cases are pictures; otherwise they are previews.
    pictures = any(path.suffix.lower() in _PICTURES for path in files)
    suffixes = (*READABLE_SUFFIXES, *_PICTURES) if pictures else tuple(READABLE_SUFFIXES)
    loose = []
    for place, folders, names in os.walk(folder):
        here = Path(place)
        folders[:] = [
            name
            for name in folders
            if name not in WITHOUT_REFERENCE and not name.startswith(".") and here / name not in series
        ]
        loose += [
            here / name
            for name in names
            if name.lower().endswith(suffixes) and not name.startswith(".") and here / name not in files
        ]
    return sorted(loose)
