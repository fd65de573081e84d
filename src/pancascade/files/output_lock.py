"""One writer at a time in a folder of results, also where several hosts share the disk.

The lock is a hidden file that says who holds it: verb, host, process and since when. While its holder lives, the
operating system keeps it locked (``flock``), so that a lock which a killed run left behind is told from one that is
held. Other hosts may not see that: there, what the file says counts.
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
from pancascade.files.made_folders import made_by, remove_empty

if sys.platform != "win32":
    import fcntl

logger = logging.getLogger(__name__)

LOCK = ".pancascade-lock"
"""Name of the file. It is gone when its holder has ended, unless that was killed."""

_MOST_BYTES = 4096
_MOST_LETTERS = 40
_PROCESSES = 2**31


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Attributes:
        what: Verb.
        host: Name of the computer.
        process: Number of the process there.
        since: Local time.
    """

    what: str
    host: str
    process: int
    since: str

    def __str__(self) -> str:
        return f"`{self.what}`, process {self.process} on {self.host}, since {self.since}"


@contextmanager
def lock_output(folder: Path, *, what: str) -> Iterator[None]:
    """Hold a folder for one writer; it is made if missing, and gone again if nothing was written.

    A lock that a killed run of this host left behind is taken over, and the log says so.

    Args:
        folder: Of the results.
        what: Verb that writes, for the message to the others.

    Raises:
        OutputError: Another writer holds the folder, or it cannot be written.
    """
    made = made_by(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _take(
            folder, Holder(what, socket.gethostname()[:_MOST_LETTERS], os.getpid(), time.strftime("%Y-%m-%d %H:%M"))
        )
    except OSError as error:
        remove_empty(made)
        reason = error.strerror or error
        raise OutputError(f"{_name(folder)}: cannot be written ({reason}). Choose another --out folder.") from error
    try:
        yield
    finally:
        _give_back(descriptor, folder / LOCK)
        remove_empty(made)


def _take(folder: Path, holder: Holder) -> int:
    """The open descriptor of a lock that is ours from now on."""
    while True:
        ours = _make(folder, holder)
        if ours is not None:
            return ours
        taken = _take_over(folder, holder)
        if taken is not None:
            return taken


def _make(folder: Path, holder: Holder) -> int | None:
    """A new lock; None if there is one already. It appears locked and with its content, on any file system."""
    draft = folder / f".{secrets.token_hex(4)}{LOCK}"
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
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
    _is_free(descriptor)
    _write(descriptor, holder)
    return descriptor


def _take_over(folder: Path, holder: Holder) -> int | None:
    """The lock of a run of this host that has ended without giving it back; None if it is gone meanwhile."""
    path = folder / LOCK
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        free = _is_free(descriptor)
        if not _is_current(descriptor, path):
            os.close(descriptor)
            return None
        _require_ended(folder, _read(descriptor), holder, free=free)
        _write(descriptor, holder)
    except BaseException:
        with suppress(OSError):
            os.close(descriptor)
        raise
    return descriptor


def _give_back(descriptor: int, path: Path) -> None:
    ours = _is_current(descriptor, path)  # somebody may have deleted it, and another run have made its own
    if sys.platform == "win32":  # there, an open file cannot be deleted
        os.close(descriptor)
    if ours:
        with suppress(OSError):
            path.unlink()
    if sys.platform != "win32":
        os.close(descriptor)


def _require_ended(folder: Path, former: Holder | None, holder: Holder, *, free: bool | None) -> None:
    """Pass only if the former holder cannot be writing any more."""
    advice = "Wait for it, or choose another --out folder."
    if former is None:  # damaged, or half-written by a run that was killed
        if free:
            return
        raise OutputError(f"{_name(folder)}: another run writes there. {advice}")
    if former.host != holder.host:
        raise OutputError(
            f"{_name(folder)}: held by {former}. Wait for it; if it has ended, delete {LOCK} in the folder."
        )
    if free is None:  # a system that cannot tell: the process can
        free = not _lives(former.process)
    if not free:
        raise OutputError(f"{_name(folder)}: {former}, writes there. {advice}")
    logger.warning("%s: %s, ended without giving the folder back; going on.", _name(folder), former)


def _is_free(descriptor: int) -> bool | None:
    """Lock the open file for this process; None where the system or file system has no such locks."""
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
    """Whether the path still names the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _lives(process: int) -> bool:
    if sys.platform == "win32":  # there, asking would end it
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
    return folder.name or folder.resolve().name
