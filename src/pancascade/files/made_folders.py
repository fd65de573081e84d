"""Folders and files created for a result, and their removal if nothing was written or the result failed."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path


def made_by(folder: Path) -> list[Path]:
    """Return the folders that creation of this one will create, from the inside out."""
    return [each for each in (folder, *folder.absolute().parents) if not os.path.lexists(each)]


def remove_empty(made: Sequence[Path]) -> None:
    """Remove new folders that are still empty, and empty folders inside them.

    Args:
        made: Result of `made_by`.
    """
    if not made:
        return
    for inside in sorted(
        (path for path in made[0].rglob("*") if path.is_dir() and not path.is_symlink()), reverse=True
    ):
        with suppress(OSError):  # not empty: something was written
            inside.rmdir()
    for each in made:
        with suppress(OSError):
            each.rmdir()


@contextmanager
def removed_on_failure(files: Iterable[Path]) -> Iterator[None]:
    """Remove the files that the block created, if it fails.

    Args:
        files: Files that the block may create; those that exist already are kept.
    """
    new = [path for path in files if not os.path.lexists(path)]
    try:
        yield
    except BaseException:
        for path in new:
            with suppress(OSError):  # the failure matters more
                path.unlink(missing_ok=True)
        raise
