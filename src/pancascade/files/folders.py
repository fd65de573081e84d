"""Every file below a folder, links to folders followed."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path


def files_below(folder: Path, *, on_error: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    """All files of a folder and of those in it; each folder once, whatever links lead to it.

    Args:
        folder: To begin with.
        on_error: What to do about a folder that cannot be read; None passes it over.

    Yields:
        Paths as the links name them, folder by folder.
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
