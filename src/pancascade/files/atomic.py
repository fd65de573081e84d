"""Files that are either whole or absent: a killed run never leaves half a result under its final name."""

import errno
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

from pancascade.errors import OutputError

DRAFT = ".pancascade-draft-"
"""How the name of a hidden folder begins."""

_UNFINISHED = re.compile(r"\.[0-9a-f]{8}\..+")
"""Names of the files that `written_whole` writes to."""

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
    """Write to a temporary name in the same folder; move it to the final name only when all went well.

    Makes the parent folder. The temporary name ends like `path`, so that writers which look at the
    suffix (.nii.gz) do what they would do for `path`. An existing file stays untouched on failure.

    Args:
        path: The final name.

    Yields:
        The path to write to, not existing yet.

    Raises:
        OutputError: the folder cannot be made or written to, the disk is full, or path is a folder.
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
    """Write several files to a hidden folder; move them to their folder only when all went well.

    Of the former files of these names, those that were not written anew are removed: old and new never mix. The last
    one is their seal: its former version goes first and the new one comes last, so that where it stands all belong
    together, even if the run was killed in between.

    Args:
        folder: Made if it is missing.
        names: The files, moved in this order.

    Yields:
        The folder to write to.

    Raises:
        OutputError: the folder cannot be made or written to, or the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=DRAFT, dir=folder) as hidden:
            draft = Path(hidden)
            yield draft
            for last in names[-1:]:  # without names nothing tells that the folder is whole
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
    """A file that an earlier run wrote, and the folder that held it, if that is empty now."""
    path.unlink(missing_ok=True)
    if path.parent != below:
        with suppress(OSError):
            path.parent.rmdir()


def drafts_in(folder: Path) -> list[Path]:
    """Hidden folders of `written_together`: of a run that writes there now, or that was killed."""
    return sorted(path for path in folder.glob(f"{DRAFT}*") if path.is_dir())


def clear_drafts(folder: Path) -> None:
    """Remove the hidden folders that killed runs have left.

    Args:
        folder: Held by this run, so that none of them still writes there.
    """
    for draft in drafts_in(folder):
        rmtree(draft, ignore_errors=True)


def clear_unfinished(folder: Path, *, suffixes: tuple[str, ...]) -> None:
    """Remove the files that killed runs have begun by `written_whole`, in a folder and below it.

    Args:
        folder: Held by this run, so that none of them still writes there.
        suffixes: How the final names end; other files stay.
    """
    for path in folder.rglob(".*"):
        if _UNFINISHED.fullmatch(path.name) and path.name.endswith(suffixes) and path.is_file():
            path.unlink(missing_ok=True)


def _refused(path: Path, error: OSError) -> OutputError:
    reason = _REASONS.get(error.errno or 0, f"{error.strerror or error}. Choose another folder")
    return OutputError(f"{path}: cannot be written, {reason}.")


def _umask() -> int:
    # Some writers (safetensors) make files that only their owner can read. Python can ask only by setting.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _flush_to_disk(path: Path) -> None:
    # Without this a power cut after the rename can leave an empty file under the final name.
    with path.open("rb+") as file:
        os.fsync(file.fileno())
