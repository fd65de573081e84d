"""DICOM files in folders and zip archives, and their headers, read without any output of pydicom.

pydicom quotes values that it cannot read in warnings and in its log. They may contain a patient's name, so no text of
pydicom leaves this module.
"""

import logging
import shutil
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pancascade.errors import ScanError, UnreadableError
from pancascade.files.archives import ARCHIVE_FAULTS
from pancascade.files.folders import files_below
from pancascade.imaging.io.dicom.deflated import inflates_too_far
from pancascade.imaging.io.image_files import shortened
from pancascade.messages.names_only import DICOM_FOLDER

if TYPE_CHECKING:
    from pydicom import Dataset

_logger = logging.getLogger(__name__)

# The group number with which every DICOM data set starts, for files without the 128 bytes and "DICM" before it.
_BARE_BEGINNINGS = (b"\x08\x00", b"\x02\x00")
_DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
# A table of contents (DICOMDIR): its file name (PS3.10 8.6) and its class, Media Storage Directory (PS3.4 B.5).
_DIRECTORY_NAME, _DIRECTORY_CLASS = "DICOMDIR", b"1.2.840.10008.1.3.10"
_META_BYTES = 512


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """Yield a folder or file unchanged, or a zip archive unpacked into a temporary folder.

    Errors raised inside the context name the archive, not the temporary folder.

    Args:
        path: Folder, zip archive, or one DICOM file.

    Yields:
        The folder or file to read.

    Raises:
        UnreadableError: no such path, no permission, a DICOMDIR, or an archive that is damaged, locked, or too large.
    """
    if not exists(path):
        raise UnreadableError(
            f"{shortened(path)}: there is no such file or folder. Check the path.", code="no_such_file"
        )
    if path.is_dir() or not zipfile.is_zipfile(path):
        if path.is_file() and _is_directory(path, _beginning(path)):
            raise UnreadableError(
                f"{path}: this is the table of contents of a DICOM medium. Give the folder that holds it.",
                code="dicomdir",
            )
        yield path
        return
    with TemporaryDirectory(prefix="pancascade-") as folder:
        _unpack(path, Path(folder))
        try:
            yield Path(folder)
        except ScanError as error:
            raise type(error)(str(error).replace(DICOM_FOLDER, path.name), code=error.code) from error


def looks_like_dicom(path: Path) -> bool:
    """Return whether a path is a folder, a zip archive or a DICOM file, which may hold a series.

    Args:
        path: Any path; False if it does not exist or may not be read.
    """
    try:
        if path.is_dir() or zipfile.is_zipfile(path):
            return True
        return path.is_file() and _begins_as_dicom(_beginning(path))
    except (OSError, ValueError, ScanError):
        return False


def dicom_files(path: Path) -> tuple[list[Path], list[Path]]:
    """Return all DICOM files at or below a path, recognised by their first bytes, not by suffix.

    Args:
        path: Folder, searched to the bottom (links to folders are followed), or one file.

    Returns:
        Sorted paths without DICOMDIR, and the files that are only named like DICOM.

    Raises:
        UnreadableError: a folder or file that may not be read.
    """
    files = [path] if path.is_file() else sorted(files_below(path, on_error=_refuse_folder))
    found, left_out = [], []
    for file in files:
        if not file.is_file():
            continue
        beginning = _beginning(file)
        if _is_directory(file, beginning):
            continue
        if _begins_as_dicom(beginning):
            found.append(file)
        elif file.suffix.lower() in _DICOM_SUFFIXES:
            _logger.warning("%s: named like DICOM, but it is empty or something else; left out.", file)
            left_out.append(file)
    return found, left_out


def read_header(file: Path, *, tags: Iterable[str] = ()) -> "Dataset | None":
    """Read the data set of a file up to its pixels.

    Args:
        file: DICOM file.
        tags: Keywords to read; empty reads all.

    Returns:
        The header; None if it is too damaged to give its SOP class and modality, or unpacks to too much.
    """
    import pydicom

    wanted = [*tags]
    with quiet():
        try:
            with file.open("rb") as opened_file:
                if inflates_too_far(opened_file):
                    return None
                header = pydicom.dcmread(opened_file, stop_before_pixels=True, specific_tags=wanted or None, force=True)
            # pydicom decodes a value only on access, and fails only then.
            for keyword in wanted:
                header.get(keyword)
            return header if header.get("SOPClassUID") and header.get("Modality") else None
        # A damaged header may raise any exception in any part of pydicom.
        except Exception:
            return None


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings and logs of pydicom and gdcm, and the validation of values on reading."""
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


def _refuse_folder(error: OSError) -> None:
    raise UnreadableError(
        f"{error.filename}: the folder cannot be read. Check its permissions.", code="no_permission"
    ) from error


def exists(path: Path) -> bool:
    """Return whether a path exists; False for an invalid path."""
    try:
        return path.exists()
    # The name is too long for the file system, or contains a zero byte.
    except (OSError, ValueError):
        return False


def _beginning(file: Path) -> bytes:
    try:
        with file.open("rb") as content:
            return content.read(_META_BYTES)
    except OSError as error:
        raise UnreadableError(
            f"{file}: the file cannot be read. Check its permissions.", code="no_permission"
        ) from error


def _is_directory(file: Path, beginning: bytes) -> bool:
    if not _begins_as_dicom(beginning):
        return False
    return file.name.upper() == _DIRECTORY_NAME or _DIRECTORY_CLASS in beginning[132:]


def _begins_as_dicom(beginning: bytes) -> bool:
    return beginning[128:132] == b"DICM" or beginning[:2] in _BARE_BEGINNINGS


def _unpack(archive: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as content:
            # Checked before anything is written: an archive of zeros may unpack to more than the disk holds.
            if sum(entry.file_size for entry in content.infolist()) > shutil.disk_usage(folder).free:
                raise UnreadableError(
                    f"{archive}: the archive does not fit onto the disk of temporary files ({folder.parent}). "
                    "Unpack it elsewhere and give the folder.",
                    code="archive_too_large",
                )
            content.extractall(folder)
    except (*ARCHIVE_FAULTS, OSError) as error:
        raise UnreadableError(
            f"{archive}: the archive cannot be unpacked, it is damaged or locked with a password. "
            "Unpack it yourself and give the folder.",
            code="archive_damaged",
        ) from error
