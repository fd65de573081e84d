"""Temporary files of a server and its processes: in its own folder, which nobody else may open and it clears."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

from pancascade.errors import OutputError


@contextmanager
def temporary_files_in(folder: Path) -> Iterator[None]:
    """Put temporary files of the block into a folder, so that they are removed with it even after a kill.

    Args:
        folder: Existing folder.
    """
    former = tempfile.tempdir
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = former


@contextmanager
def own_temporary_files(folder: Path) -> Iterator[None]:
    """Put temporary files of the block into a folder of their own; it is removed before and after the block.

    Args:
        folder: Folder to make; its parent is locked by this server.

    Raises:
        OutputError: It cannot be made.
    """
    rmtree(folder, ignore_errors=True)  # a killed server's
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise OutputError(f"--folder: cannot be written ({why}). Choose another one.") from error
    try:
        with temporary_files_in(folder):
            yield
    finally:
        rmtree(folder, ignore_errors=True)
