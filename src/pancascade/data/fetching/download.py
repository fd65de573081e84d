"""Download of one file over HTTP, with resumption and a check of the published checksum."""

import hashlib
import http.client
import shutil
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from pancascade.errors import FetchError, OutputError

Progress = Callable[[str, int, int | None], None]
"""Called with the current action, the bytes done, and the total bytes (None if the server gives no size)."""

BLOCK = 1 << 20
TIMEOUT_S = 60.0
ATTEMPTS = 5
"""Number of successive tries without a new byte before the download fails."""

_BROKEN = (URLError, http.client.HTTPException, OSError)
"""Exceptions of urllib for a failed connection."""


def download(
    url: str,
    path: Path,
    *,
    checksum: str | None = None,
    room_factor: float = 1.0,
    wait_s: float = 2.0,
    progress: Progress | None = None,
) -> None:
    """Download a file; a failure leaves no partial file under the final name.

    Partial content is kept in ``NAME.part``. With a published checksum, a second run resumes it if the server can.
    Without a checksum a changed file would go unnoticed, so the download starts again.

    Args:
        url: Address of the file.
        path: Final path; its folder is created.
        checksum: As ``md5:…`` or ``sha256:…``; None checks only the size, if the server gives it.
        room_factor: Required free space, as a multiple of the file's size.
        wait_s: Seconds between two tries.
        progress: Called after each block.

    Raises:
        FetchError: No connection, the server refuses, the connection breaks repeatedly, or the checksum or size is
            wrong.
        OutputError: The disk has too little space, or cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if checksum is None:
            part.unlink(missing_ok=True)
        _transfer_whole(url, part, room_factor=room_factor, wait_s=wait_s, progress=progress)
        if checksum is not None:
            _require_checksum(part, checksum, url, progress=progress)
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}). Choose another --out.") from error


def remote_size(url: str) -> int | None:
    """Return the size in bytes of a file on a server; None if the server gives none.

    Raises:
        FetchError: No connection, or the server refuses.
    """
    with open_url(url, method="HEAD") as response:
        return _whole_number(response.headers.get("Content-Length"))


def open_url(url: str, *, method: str = "GET", start: int = 0) -> Any:
    """Open a response, from byte ``start`` on if the server supports it.

    Raises:
        FetchError: No connection, or the server refuses.
    """
    headers = {"User-Agent": "pancascade", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        return urlopen(Request(url, headers=headers, method=method), timeout=TIMEOUT_S)
    except HTTPError as error:
        error.close()
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _RangeEndedError(f"{url}: nothing lies beyond byte {start}.") from error
        raise FetchError(
            f"{url}: the server says {error.code} {error.reason}. Was the file moved? Look at the data set's page."
        ) from error
    except _BROKEN as error:
        reason = getattr(error, "reason", None) or error
        raise NoConnectionError(
            f"{url}: no connection ({reason}). Check the network and its proxy, or download by hand."
        ) from error


class NoConnectionError(FetchError):
    """The server was not reached; another try may succeed."""


class _RangeEndedError(FetchError):
    """The local file has all bytes already, or more than the remote file."""


def _transfer_whole(url: str, part: Path, *, room_factor: float, wait_s: float, progress: Progress | None) -> None:
    """Fill the partial file; repeat as long as new bytes arrive."""
    vain = 0
    while True:
        before = _size(part)
        try:
            total = _transfer(url, part, room_factor=room_factor, progress=progress)
            if total is None or _size(part) == total:
                return
            if _size(part) > total:  # part of an earlier, larger version
                part.unlink()
        except _RangeEndedError:
            if _size(part) == remote_size(url):
                return
            part.unlink(missing_ok=True)
        except NoConnectionError:
            if vain + 1 >= ATTEMPTS or before == 0:
                raise
        vain = 0 if _size(part) > before else vain + 1
        if vain >= ATTEMPTS:
            raise FetchError(
                f"{url}: the connection broke repeatedly, after {_size(part)} bytes. Run the same command later; "
                "it continues where it stopped."
            )
        time.sleep(wait_s)


def _transfer(url: str, part: Path, *, room_factor: float, progress: Progress | None) -> int | None:
    """Transfer over one connection; return the file's size if the server gives it."""
    start = _size(part)
    with open_url(url, start=start) as response:
        resumed = response.status == HTTPStatus.PARTIAL_CONTENT
        start = start if resumed else 0  # a server without range requests sends the whole file again
        left = _whole_number(response.headers.get("Content-Length"))
        total = None if left is None else start + left
        if left is not None:
            require_room(part.parent, int(left + (room_factor - 1) * (start + left)))
        with part.open("ab" if resumed else "wb") as file:
            done = start
            while block := _read(response, total, url):
                file.write(block)
                done += len(block)
                if progress is not None:
                    progress("download", done, total)
    return total


def _read(response: Any, total: int | None, url: str) -> bytes:
    try:
        return bytes(response.read(BLOCK))
    except (http.client.HTTPException, OSError) as error:
        if total is None:
            raise FetchError(f"{url}: the connection broke ({error}). Run the same command again.") from error
        return b""  # the size shows that the file is incomplete


def require_room(folder: Path, needed: int) -> None:
    """Check that a folder's disk has enough free bytes.

    Raises:
        OutputError: It has too few.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"{folder}: {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free. Free some space, or choose "
            "another --out."
        )


def _require_checksum(part: Path, checksum: str, url: str, *, progress: Progress | None) -> None:
    kind, _, wanted = checksum.partition(":")
    digest = hashlib.new(kind, usedforsecurity=False)
    done, total = 0, _size(part)
    with part.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            done += len(block)
            if progress is not None:
                progress("checksum", done, total)
    if digest.hexdigest() != wanted:
        part.unlink()
        raise FetchError(
            f"{url}: its {kind} checksum is {digest.hexdigest()}, published is {wanted}. The download was removed; run "
            "again, and if it fails again look at the data set's page for a new version."
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _whole_number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None
