"""Safety check of an untrusted zip archive before it is unpacked."""

import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from pancascade.errors import UnreadableError

MOST_FILES = 20_000
"""Most files of an archive, more than a CT study has."""

ARCHIVE_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    RuntimeError,
    NotImplementedError,
    ValueError,  # also a name that is no UTF-8
)
"""What reading a damaged or locked archive raises, apart from `OSError`."""

_MOST_DIRECTORY_BYTES = 8_000_000
_END, _END64_LOCATOR, _END64 = b"PK\x05\x06", b"PK\x06\x07", b"PK\x06\x06"
_END_BYTES, _LOCATOR_BYTES, _LONGEST_COMMENT = 22, 20, 65_535


def require_safe_archive(path: Path, *, most_bytes: int) -> None:
    """Refuse an archive that is too large when unpacked, or has names outside its target folder.

    Only the table of contents is read, and only if it has a reasonable size.

    Args:
        path: Zip archive.
        most_bytes: Most bytes of the unpacked content.

    Raises:
        UnreadableError: The archive is unsafe, too large, locked, or not readable.
    """
    try:
        with path.open("rb") as file:
            directory = _directory_bytes(file)
        if directory > _MOST_DIRECTORY_BYTES:
            raise _too_large(path, f"more than {MOST_FILES} files")
        with zipfile.ZipFile(path) as content:
            entries = content.infolist()
    except (*ARCHIVE_FAULTS, OSError) as error:
        raise UnreadableError(
            f"{path}: the archive is damaged. Pack and send it again.", code="archive_damaged"
        ) from error
    if len(entries) > MOST_FILES:
        raise _too_large(path, f"more than {MOST_FILES} files")
    if sum(entry.file_size for entry in entries) > most_bytes:
        raise _too_large(path, f"more than {most_bytes / 1e6:g} MB")
    if any(entry.flag_bits & 1 for entry in entries):
        raise UnreadableError(
            f"{path}: the archive is locked with a password. Pack it without one.", code="archive_damaged"
        )
    if any(_leads_out(entry.filename) for entry in entries):
        raise UnreadableError(
            f"{path}: a name in the archive leads out of its folder. Pack the DICOM files again.", code="archive_unsafe"
        )


def _leads_out(name: str) -> bool:
    windows = PureWindowsPath(name)
    return PurePosixPath(name).is_absolute() or bool(windows.anchor) or ".." in windows.parts


def _too_large(path: Path, what: str) -> UnreadableError:
    return UnreadableError(
        f"{path}: the archive unpacks to {what}. Pack the files of one CT series alone.", code="archive_too_large"
    )


def _directory_bytes(file: BinaryIO) -> int:
    """Return the size of an archive's table of contents, as the unpacking library will read it."""
    size = file.seek(0, 2)
    begin = max(0, size - _END_BYTES - _LONGEST_COMMENT)
    file.seek(begin)
    tail = file.read()
    place = tail.rfind(_END)
    if place < 0:
        raise zipfile.BadZipFile
    (directory,) = struct.unpack_from("<L", tail, place + 12)
    file.seek(max(0, begin + place - _LOCATOR_BYTES))
    locator = file.read(_LOCATOR_BYTES)
    if locator[:4] != _END64_LOCATOR:
        return int(directory)
    # The record is where the locator says or, with data before the archive, directly before the locator.
    (said,) = struct.unpack_from("<Q", locator, 8)
    found = [int(directory)]
    for start in (said, begin + place - _LOCATOR_BYTES - 56):
        if 0 <= start < size:
            file.seek(start)
            record = file.read(56)
            if record[:4] == _END64:
                found.append(struct.unpack_from("<Q", record, 40)[0])
    return max(found)
