"""One file over HTTP: resumed where it stopped, and kept only if it is what was published."""

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
"""Called with what is being done, the bytes done, and the bytes in all; None where the server does not tell."""

BLOCK = 1 << 20
TIMEOUT_S = 60.0
ATTEMPTS = 5
"""Tries in a row without a single new byte, before the download gives up."""

_BROKEN = (URLError, http.client.HTTPException, OSError)
"""What urllib raises when a connection fails."""


def download(
    url: str,
    path: Path,
    *,
    checksum: str | None = None,
    room_factor: float = 1.0,
    wait_s: float = 2.0,
    progress: Progress | None = None,
) -> None:
    """Download a file, whole or not at all.

    What has come so far is kept in ``NAME.part``, and a second run goes on from there if the server can, and if a
    checksum is published; without one nothing would show that the file has changed meanwhile, and it starts anew.

    Args:
        url: Where it lies.
        path: The final name; its folder is made.
        checksum: As ``md5:…`` or ``sha256:…``; None checks the size alone, where the server tells it.
        room_factor: Free space that is wanted, as a multiple of the file's size.
        wait_s: Between two tries.
        progress: Called after each block.

    Raises:
        FetchError: No connection, the server refuses, the connection breaks again and again, or the file is not the
            published one.
        OutputError: The disk has too little room, or cannot be written.
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
    """Bytes of a file on a server; None where it does not tell.

    Raises:
        FetchError: No connection, or the server refuses.
    """
    with open_url(url, method="HEAD") as response:
        return _whole_number(response.headers.get("Content-Length"))


def open_url(url: str, *, method: str = "GET", start: int = 0) -> Any:
    """An open response, from a byte on if the server can.

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
    """The server was not reached; another try may."""


class _RangeEndedError(FetchError):
    """All bytes are here already, or more than the file has."""


def _transfer_whole(url: str, part: Path, *, room_factor: float, wait_s: float, progress: Progress | None) -> None:
    """Fill the partial file, trying again for as long as something comes."""
    vain = 0
    while True:
        before = _size(part)
        try:
            total = _transfer(url, part, room_factor=room_factor, progress=progress)
            if total is None or _size(part) == total:
                return
            if _size(part) > total:  # of an earlier, larger version
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
                f"{url}: the connection broke again and again, after {_size(part)} bytes. Run the same command later; "
                "it goes on where it stopped."
            )
        time.sleep(wait_s)


def _transfer(url: str, part: Path, *, room_factor: float, progress: Progress | None) -> int | None:
    """One connection's worth; returns the file's size if the server tells it."""
    start = _size(part)
    with open_url(url, start=start) as response:
        resumed = response.status == HTTPStatus.PARTIAL_CONTENT
        start = start if resumed else 0  # a server without ranges sends all again
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
        return b""  # the size tells that it is not whole


def require_room(folder: Path, needed: int) -> None:
    """Pass only if a folder's disk has so many bytes free.

    Raises:
        OutputError: It has not.
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
