"""Atomic writing: a killed run never leaves a partial file under its final name."""

import errno
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from threading import Lock

from pancascade.errors import OutputError

DRAFT = ".pancascade-draft-"
"""Start of the names of hidden folders."""

_UNFINISHED = re.compile(r"\.[0-9a-f]{8}\..+")
"""Names of temporary files of `written_whole`."""

_UMASK_LOCK = Lock()

_REASONS = {
    errno.ENOSPC: "the disk is full. Free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up. Free some space or choose another folder",
    errno.EROFS: "the file system is read-only. Choose another folder",
    errno.EACCES: "there is no permission to write there. Choose another folder",
    errno.EPERM: "there is no permission to write there. Choose another folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder. Choose another folder",
    errno.EEXIST: "a part of the path is a file, not a folder. Choose another folder",
    errno.EISDIR: "it is an existing folder. Give a file name inside it",
    errno.ENAMETOOLONG: "the name is too long. Choose a shorter one",
}


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Write to a temporary name in the same folder; move the file to its final name only after success.

    Creates the parent folder. The temporary name has the same ending as `path`, so that writers that depend on the
    suffix (.nii.gz) work as for `path`. An existing file is unchanged on failure.

    Args:
        path: The final path.

    Yields:
        The path to write to, which does not exist yet.

    Raises:
        OutputError: the folder cannot be created or written to, the disk is full, or path is a folder.
    """
    temporary = path.parent / f".{secrets.token_hex(4)}.{path.name}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        yield temporary
        _flush_to_disk(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def written_together(folder: Path, *, names: Sequence[str]) -> Iterator[Path]:
    """Write several files to a hidden folder; move them to their folder only after success.

    Former files of these names that were not written again are removed, so old and new files never mix. The last name
    marks completeness: its former version is removed first and the new one moved last. If it exists, all files belong
    together, even after a killed run.

    Args:
        folder: Target folder; created if missing.
        names: Names of the files, moved in this order.

    Yields:
        The folder to write to.

    Raises:
        OutputError: the folder cannot be created or written to, or the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=DRAFT, dir=folder) as hidden:
            draft = Path(hidden)
            yield draft
            for last in names[-1:]:  # without names nothing marks the folder as complete
                (folder / last).unlink(missing_ok=True)
            for name in names:
                if (draft / name).exists():
                    (folder / name).parent.mkdir(exist_ok=True)
                    (draft / name).replace(folder / name)
                else:
                    _remove(folder / name, below=folder)
    except OSError as error:
        raise _refused(folder, error) from error


def _remove(path: Path, *, below: Path) -> None:
    """Remove a file of an earlier run, and its subfolder if that is empty now."""
    path.unlink(missing_ok=True)
    if path.parent != below:
        with suppress(OSError):
            path.parent.rmdir()


def drafts_in(folder: Path) -> list[Path]:
    """Return hidden folders of `written_together`, of a run that is writing now or was killed."""
    return sorted(path for path in folder.glob(f"{DRAFT}*") if path.is_dir())


def clear_drafts(folder: Path) -> None:
    """Remove hidden folders that stopped runs left.

    Args:
        folder: Folder locked by this run, so no other run writes to it.
    """
    for draft in drafts_in(folder):
        rmtree(draft, ignore_errors=True)


def clear_unfinished(folder: Path, *, suffixes: tuple[str, ...]) -> None:
    """Remove unfinished files of `written_whole` that stopped runs left, in a folder and its subfolders.

    Args:
        folder: Folder locked by this run, so no other run writes to it.
        suffixes: Endings of the final names; other files are kept.
    """
    for path in folder.rglob(".*"):
        if _UNFINISHED.fullmatch(path.name) and path.name.endswith(suffixes) and path.is_file():
            path.unlink(missing_ok=True)


def _refused(path: Path, error: OSError) -> OutputError:
    reason = _REASONS.get(error.errno or 0, f"{error.strerror or error}. Choose another folder")
    return OutputError(f"{path}: cannot be written, {reason}.")


def _umask() -> int:
    # Some writers (safetensors) create files only their owner can read. Python can read the mask only by setting it.
    with _UMASK_LOCK:  # two threads would each read the other's mask
        mask = os.umask(0o077)
        os.umask(mask)
    return mask


def _flush_to_disk(path: Path) -> None:
    # Without this, a power failure after the rename can leave an empty file under the final name.
    with path.open("rb+") as file:
        os.fsync(file.fileno())
