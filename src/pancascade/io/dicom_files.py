"""DICOM files on disk: which they are in a folder or zip archive, and their headers without a stray word.

pydicom quotes the values it stumbles over, in warnings and in its log. They may hold a patient's name, so
nothing of pydicom's own text gets out of here.
"""

import logging
import os
import shutil
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pancascade.errors import ScanError, UnreadableError
from pancascade.names_only import DICOM_FOLDER

if TYPE_CHECKING:
    from pydicom import Dataset

_logger = logging.getLogger(__name__)

# A file of a group that every DICOM data set begins with, where the 128 bytes and "DICM" before it are missing.
_BARE_BEGINNINGS = (b"\x08\x00", b"\x02\x00")
_DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """A folder as it is; a zip archive unpacked for as long as it is needed; a single file as it is.

    Errors raised meanwhile name the archive, not the temporary folder.

    Args:
        path: Folder, zip archive, or one DICOM file.

    Yields:
        The folder or file to look into.

    Raises:
        UnreadableError: no such path, no permission, or an archive that is damaged, locked, or too large.
    """
    if not path.exists():
        raise UnreadableError(f"{path}: there is no such file or folder. Check the path.", code="no_such_file")
    if path.is_dir() or not zipfile.is_zipfile(path):
        yield path
        return
    with TemporaryDirectory(prefix="pancascade-") as folder:
        _unpack(path, Path(folder))
        try:
            yield Path(folder)
        except ScanError as error:
            raise type(error)(str(error).replace(DICOM_FOLDER, path.name), code=error.code) from error


def looks_like_dicom(path: Path) -> bool:
    """Whether a path is a folder, a zip archive or a DICOM file, in which a series is to be looked for.

    Args:
        path: Anything; what does not exist or may not be read is no DICOM.
    """
    try:
        return path.is_dir() or zipfile.is_zipfile(path) or (path.is_file() and _holds_dicom(path))
    except (OSError, ScanError):
        return False


def dicom_files(path: Path) -> list[Path]:
    """All files at or below a path that hold DICOM, by their first bytes; suffixes do not count.

    Args:
        path: Folder, searched to the bottom (links to folders are not followed), or one file.

    Returns:
        Sorted paths, a DICOMDIR not among them.

    Raises:
        UnreadableError: a folder or file that may not be read.
    """
    files = [path] if path.is_file() else [Path(folder) / name for folder, _, names in _walk(path) for name in names]
    return sorted(file for file in files if _holds_dicom(file))


def read_header(file: Path, *, tags: Iterable[str] = ()) -> "Dataset | None":
    """The data set of a file up to its pixels.

    Args:
        file: DICOM file.
        tags: Keywords to read; all when empty.

    Returns:
        The header, or None for one so damaged that it does not say what it describes.
    """
    import pydicom

    with quiet():
        try:
            header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=[*tags] or None, force=True)
            return header if header.get("SOPClassUID") and header.get("Modality") else None
        # A damaged header fails in every part of pydicom, with whatever that part raises.
        except Exception:
            return None


@contextmanager
def quiet() -> Iterator[None]:
    """Let pydicom and gdcm read what they can, and say nothing about it."""
    import gdcm
    import pydicom

    for silence in (gdcm.Trace.WarningOff, gdcm.Trace.ErrorOff, gdcm.Trace.DebugOff):
        silence()
    settings = pydicom.config.settings
    validation = settings.reading_validation_mode
    settings.reading_validation_mode = pydicom.config.IGNORE
    pydicom.config.logger.addFilter(_drop)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        pydicom.config.logger.removeFilter(_drop)
        settings.reading_validation_mode = validation


def _drop(_: logging.LogRecord) -> bool:
    return False


def _walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    def refuse(error: OSError) -> None:
        raise UnreadableError(
            f"{error.filename}: the folder cannot be read. Check its permissions.", code="no_permission"
        ) from error

    return os.walk(folder, onerror=refuse)


def _holds_dicom(file: Path) -> bool:
    try:
        if file.name.upper().startswith("DICOMDIR") or not file.is_file():
            return False
        with file.open("rb") as content:
            beginning = content.read(132)
    except OSError as error:
        raise UnreadableError(
            f"{file}: the file cannot be read. Check its permissions.", code="no_permission"
        ) from error
    if beginning[128:] == b"DICM" or beginning[:2] in _BARE_BEGINNINGS:
        return True
    if file.suffix.lower() in _DICOM_SUFFIXES:
        _logger.warning("%s: named like DICOM, but it is empty or something else; left out.", file)
    return False


def _unpack(archive: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as content:
            # Looked at before anything is written: an archive of zeros may unpack to more than the disk holds.
            if sum(entry.file_size for entry in content.infolist()) > shutil.disk_usage(folder).free:
                raise UnreadableError(
                    f"{archive}: the archive does not fit onto the disk of temporary files ({folder.parent}). "
                    "Unpack it elsewhere and give the folder.",
                    code="archive_too_large",
                )
            content.extractall(folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        raise UnreadableError(
            f"{archive}: the archive cannot be unpacked, it is damaged or locked with a password. "
            "Unpack it yourself and give the folder.",
            code="archive_damaged",
        ) from error
