"""Iteration over the files below a folder, following links to folders."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path


def files_below(folder: Path, *, on_error: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    """Yield all files below a folder; each folder once, even if several links lead to it.

    Args:
        folder: Folder to start from.
        on_error: Called for a folder that cannot be read; None ignores it.

    Yields:
        Paths with the links' names, folder by folder.
    """
    seen = {os.path.realpath(folder)}
    for place, below, names in os.walk(folder, onerror=on_error, followlinks=True):
        first = []
        for name in sorted(below):
            # A link may lead back up, or a second time to the same folder.
            real = os.path.realpath(Path(place) / name)
            if real not in seen:
                seen.add(real)
                first.append(name)
        below[:] = first
        yield from (Path(place) / name for name in names)
