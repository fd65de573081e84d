"""Paths that users give: check of arguments of the Python interface, and paths without links."""

import os
from pathlib import Path


def real_path(path: str | Path) -> Path:
    """Return a path without links. A link that leads to itself stays one; `Path.resolve` ends with a RuntimeError."""
    return Path(os.path.realpath(path))


def given_path(path: object, *, what: str) -> Path:
    """Return a path given as text or as a path.

    Args:
        path: The argument.
        what: Name of the argument, for the message.

    Raises:
        TypeError: The argument is neither text nor a path.
    """
    if isinstance(path, str | os.PathLike):
        return Path(path)
    raise TypeError(f"{what}: give a path, as text or pathlib.Path, got {type(path).__name__}.")
