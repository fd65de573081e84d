"""Locks of output folders: one writer at a time, also on a disk shared by several hosts.

The lock is a hidden file with its holder's verb, host, process and start time. While the holder lives, the operating
system keeps the file locked (``flock``), which distinguishes a held lock from one left behind by a killed run. Other
hosts may not see this; for them the content of the file decides.
"""

import json
import logging
import os
import secrets
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pancascade.errors import OutputError
from pancascade.files.documents import parse_json
from pancascade.files.given_paths import real_path
from pancascade.files.made_folders import made_by, remove_empty

if sys.platform != "win32":
    import fcntl

logger = logging.getLogger(__name__)

LOCK = ".pancascade-lock"
"""Name of the lock file. Its holder deletes it at the end, unless killed."""

_MOST_BYTES = 4096
_MOST_LETTERS = 40
_PROCESSES = 2**31


@dataclass(frozen=True)
class Holder:
    """Holder of a lock.

    Attributes:
        what: Verb of the program.
        host: Name of the computer.
        process: Process number on that host.
        since: Start in local time.
    """

    what: str
    host: str
    process: int
    since: str

    def __str__(self) -> str:
        return f"`{self.what}`, process {self.process} on {self.host}, since {self.since}"


@contextmanager
def lock_output(folder: Path, *, what: str, option: str = "--out folder") -> Iterator[None]:
    """Lock a folder for one writer; create it if missing, and remove it again if nothing was written.

    A lock left behind by a killed run of this host is taken over with a warning.

    Args:
        folder: Folder of the results.
        what: Verb that writes, for messages to other writers.
        option: Option that names the folder, for messages.

    Raises:
        OutputError: Another writer holds the folder, or it cannot be written.
    """
    made = made_by(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _take(
            folder,
            Holder(what, socket.gethostname()[:_MOST_LETTERS], os.getpid(), time.strftime("%Y-%m-%d %H:%M")),
            option=option,
        )
    except OSError as error:
        remove_empty(made)
        reason = error.strerror or error
        raise OutputError(f"{_name(folder)}: cannot be written ({reason}). Choose another {option}.") from error
    try:
        yield
    finally:
        _give_back(descriptor, folder / LOCK)
        remove_empty(made)


def _take(folder: Path, holder: Holder, *, option: str) -> int:
    """Take the lock, and return its open descriptor."""
    while True:
        ours = _make(folder, holder)
        if ours is not None:
            return ours
        taken = _take_over(folder, holder, option=option)
        if taken is not None:
            return taken


def _make(folder: Path, holder: Holder) -> int | None:
    """Create a lock, already locked and with its content; return None if there is one already."""
    draft = folder / f".{secrets.token_hex(4)}{LOCK}"
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with _closed_on_failure(descriptor):
            _write(descriptor, holder)
            _is_free(descriptor)
        try:
            os.link(draft, folder / LOCK)
        except FileExistsError:
            os.close(descriptor)
            return None
        except OSError:  # a file system without hard links
            os.close(descriptor)
            return _make_without_links(folder / LOCK, holder)
        return descriptor
    finally:
        draft.unlink(missing_ok=True)


def _make_without_links(path: Path, holder: Holder) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return None
    try:
        with _closed_on_failure(descriptor):
            _is_free(descriptor)
            _write(descriptor, holder)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return descriptor


def _take_over(folder: Path, holder: Holder, *, option: str) -> int | None:
    """Take over the lock of a run of this host that ended without release; None if the lock has disappeared."""
    path = folder / LOCK
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    with _closed_on_failure(descriptor):
        free = _is_free(descriptor)
        if _is_current(descriptor, path):
            _require_ended(folder, _read(descriptor), holder, free=free, option=option)
            _write(descriptor, holder)
            return descriptor
    os.close(descriptor)
    return None


@contextmanager
def _closed_on_failure(descriptor: int) -> Iterator[None]:
    """Close a file if the block fails, on a full disk say: a server would try again until it has no file left."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            os.close(descriptor)
        raise


def _give_back(descriptor: int, path: Path) -> None:
    ours = _is_current(descriptor, path)  # the file may have been deleted, and another run may have created its own
    if sys.platform == "win32":  # Windows cannot delete an open file
        os.close(descriptor)
    if ours:
        with suppress(OSError):
            path.unlink()
    if sys.platform != "win32":
        os.close(descriptor)


def _require_ended(folder: Path, former: Holder | None, holder: Holder, *, free: bool | None, option: str) -> None:
    """Check that the former holder has ended."""
    advice = f"Wait for it, or choose another {option}."
    if former is None:  # damaged, or half-written by a run that was killed
        if free:
            return
        raise OutputError(f"{_name(folder)}: another run writes there. {advice}")
    if former.host != holder.host:
        raise OutputError(
            f"{_name(folder)}: held by {former}. Wait for it; if it has ended, delete {LOCK} in the folder."
        )
    if free is None:  # without file locks, the process number decides
        free = not _lives(former.process)
    if not free:
        raise OutputError(f"{_name(folder)}: {former}, writes there. {advice}")
    logger.warning("%s: %s, ended without releasing the folder; continuing.", _name(folder), former)


def _is_free(descriptor: int) -> bool | None:
    """Lock the open file for this process; return None if the system or file system has no such locks."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_current(descriptor: int, path: Path) -> bool:
    """Return whether the path still refers to the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _lives(process: int) -> bool:
    if sys.platform == "win32":  # on Windows, os.kill would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _write(descriptor: int, holder: Holder) -> None:
    content = json.dumps(asdict(holder)).encode()
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, content)


def _read(descriptor: int) -> Holder | None:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        content = parse_json(os.read(descriptor, _MOST_BYTES))
        what, host, since = (str(content[key])[:_MOST_LETTERS] for key in ("what", "host", "since"))
        process = int(content["process"])
        return Holder(what, host, process, since) if 0 < process < _PROCESSES else None
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def _name(folder: Path) -> str:
    return folder.name or real_path(folder).name
