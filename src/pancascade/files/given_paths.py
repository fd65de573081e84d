"""Paths as Python programs give them."""

import os
from pathlib import Path


def given_path(path: object, *, what: str) -> Path:
    """A path that a program gave as text or as a path.

    Args:
        path: What was given.
        what: Name of the argument, for the message.

    Raises:
        TypeError: It is something else.
    """
    if isinstance(path, str | os.PathLike):
        return Path(path)
    raise TypeError(f"{what}: give a path, as text or pathlib.Path, got {type(path).__name__}.")
