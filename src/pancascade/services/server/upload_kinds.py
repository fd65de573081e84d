"""Recognise an upload by its first bytes, and decide whether it may be opened; names and suffixes do not count."""

import gzip
import re
import zlib
from importlib.util import find_spec
from io import BytesIO
from math import prod
from pathlib import Path
from typing import BinaryIO, cast

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

from pancascade.errors import UnreadableError
from pancascade.files.archives import require_safe_archive
from pancascade.services.server.faults import RequestError
from pancascade.services.server.job import Kind
from pancascade.services.server.job_folder import SUFFIXES

_HEAD_BYTES = 540
_NRRD_HEADER_BYTES = 65_536
_DATA_ELSEWHERE = re.compile(rb"(?im)^\s*data\s*file\s*[:=]")

_NRRD_SIZES = re.compile(rb"(?im)^sizes:[ \t]*((?:\d{1,18}[ \t]*)+)\r?$")
_NRRD_VOXEL_BYTES = 4

_WANTED = "Send NIfTI (.nii, .nii.gz), NRRD, or DICOM (a .zip of one series)."


def recognise(upload: Path) -> Kind:
    """Return the kind of a file.

    Raises:
        RequestError: It is empty, or of no supported kind.
    """
    with upload.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise RequestError(400, f"The file is empty. {_WANTED}")
    kind = _kind(head)
    if kind is None:
        raise RequestError(415, f"This is no scan of a supported kind. {_WANTED}")
    if kind == "nrrd":
        if find_spec("SimpleITK") is None:
            raise RequestError(
                415, "This server cannot read NRRD. Send NIfTI or a zip of DICOM, or have pancascade[itk] installed."
            )
        _require_attached(upload)
    return kind


def _kind(head: bytes) -> Kind | None:
    if head[:2] == b"\x1f\x8b":
        return "nifti-gz"
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "dicom-zip"
    if head[:4] == b"NRRD":
        return "nrrd"
    if head[128:132] == b"DICM":
        return "dicom"
    if int.from_bytes(head[:4], "little") in (348, 540) or int.from_bytes(head[:4], "big") in (348, 540):
        return "nifti"
    return None


def _require_attached(upload: Path) -> None:
    """Refuse a header whose voxels are in another file: it could name any file of this computer.

    Raises:
        RequestError: The voxels are in another file, or the header has no end.
    """
    with upload.open("rb") as file:
        beginning = file.read(_NRRD_HEADER_BYTES)
    header, end, _ = beginning.replace(b"\r\n", b"\n").partition(b"\n\n")
    if not end or _DATA_ELSEWHERE.search(header):
        raise RequestError(415, "This NRRD has its voxels in another file. Send one that holds them, or NIfTI.")


def require_modest(upload: Path, kind: Kind, *, most_bytes: int) -> None:
    """Refuse an upload that would unpack to more than the limit.

    Args:
        upload: File.
        kind: Kind of the file.
        most_bytes: Largest unpacked size.

    Raises:
        RequestError: It unpacks to more, or is an unsafe archive.
    """
    if kind == "dicom-zip":
        try:
            require_safe_archive(upload, most_bytes=most_bytes)
        except UnreadableError as error:
            status = 413 if error.code == "archive_too_large" else 400
            raise RequestError(status, _of_archive(str(error), upload.name)) from error
    elif _voxel_bytes(upload, kind) > most_bytes:
        raise RequestError(413, f"The scan's voxels take more than {most_bytes / 1e6:g} MB. Crop or resample it first.")


def named_by_kind(upload: Path, *, most_bytes: int) -> Path:
    """Check an upload and give it the suffix of its kind: it must be read as what it was checked for.

    Args:
        upload: File; it is renamed.
        most_bytes: Largest unpacked size.

    Returns:
        The file with its new name.

    Raises:
        RequestError: See `recognise` and `require_modest`.
    """
    kind = recognise(upload)
    require_modest(upload, kind, most_bytes=most_bytes)
    return upload.rename(upload.with_name(f"{upload.name}{SUFFIXES[kind]}"))


def _of_archive(sentence: str, name: str) -> str:
    """Return a sentence about an archive without its name, which the client does not know."""
    what = sentence.removeprefix(f"{name}: ")
    return f"{what[0].upper()}{what[1:]}"


def _voxel_bytes(upload: Path, kind: Kind) -> int:
    """Return the bytes of a file's voxels by its header; 0 if it is invalid: reading it will report why."""
    if kind == "nrrd":
        return _nrrd_bytes(upload)
    return _nifti_bytes(upload, kind) if kind in ("nifti", "nifti-gz") else 0


def _nrrd_bytes(upload: Path) -> int:
    with upload.open("rb") as file:
        sizes = _NRRD_SIZES.search(file.read(_NRRD_HEADER_BYTES))
    return 0 if sizes is None else _NRRD_VOXEL_BYTES * prod(int(size) for size in sizes[1].split())


def _nifti_bytes(upload: Path, kind: Kind) -> int:
    try:
        with cast(BinaryIO, gzip.open(upload) if kind == "nifti-gz" else upload.open("rb")) as file:
            head = file.read(_HEAD_BYTES).ljust(_HEAD_BYTES, b"\0")  # reading will report a short one
        second = 540 in (int.from_bytes(head[:4], order) for order in ("little", "big"))
        header = (nib.Nifti2Header if second else nib.Nifti1Header).from_fileobj(BytesIO(head), check=False)
        # Scaled voxels are stored in single precision.
        each = max(4, header.get_data_dtype().itemsize)
        return each * int(np.prod([max(0, int(size)) for size in header.get_data_shape()], dtype=object))
    except (OSError, EOFError, zlib.error, ValueError, HeaderDataError):
        return 0
