"""What ITK does not check in NRRD and MetaImage files: headers that end its process, and damaged compression."""

import gzip
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pancascade.errors import GeometryError, UnreadableError

METAIMAGE, NRRD = (".mha", ".mhd"), (".nrrd", ".nhdr")

_MOST_BYTES = 1 << 20
_MOST_AXES = 10
_BLOCK = 1 << 20
_DATA = "elementdatafile"
_NUMBERS = ("offset", "origin", "position", "elementspacing", "transformmatrix", "rotation", "orientation")
"""Fields that MetaImage reads as 0 where they are no number."""


@dataclass(frozen=True)
class StoredData:
    """Place of an image's voxels.

    Attributes:
        file: File that holds them.
        first: Position of their first byte.
        compression: ``zlib``, ``gzip``, or None.
    """

    file: Path
    first: int
    compression: str | None


def not_an_image(path: Path) -> UnreadableError:
    """Return the error for a file that ITK cannot read."""
    return UnreadableError(
        f"{path}: this is not an NRRD or MetaImage file, or it ends too early or its data file is missing. "
        "Copy or export it again.",
        code="not_an_image",
    )


def read_header(path: Path) -> StoredData:
    """Read where an image's voxels are, before ITK opens it.

    Args:
        path: .nrrd, .nhdr, .mha or .mhd.

    Raises:
        UnreadableError: There is no header of this kind, or the voxels are in several files.
        GeometryError: A field of the grid is no number.
    """
    with path.open("rb") as file:
        beginning = file.read(_MOST_BYTES)
    if path.suffix.lower() in NRRD:
        return _nrrd(path, beginning)
    return _metaimage(path, beginning)


def require_whole(path: Path, stored: StoredData, *, nbytes: int) -> None:
    """Check compressed voxels by the checksum of their compression: ITK gives 0 for those that it cannot unpack.

    Args:
        path: The image, for messages.
        stored: Result of `read_header`.
        nbytes: Size of its voxels.

    Raises:
        UnreadableError: They are damaged.
    """
    try:
        if stored.compression == "zlib":
            sound = _inflated(stored) == nbytes
        elif stored.compression == "gzip":
            sound = _gunzipped(stored) >= nbytes
        else:
            return
    except (OSError, EOFError, zlib.error):
        sound = False
    if not sound:
        raise UnreadableError(
            f"{path}: its compressed voxels are damaged. Copy or export it again.", code="not_an_image"
        )


def _metaimage(path: Path, beginning: bytes) -> StoredData:
    fields: dict[str, str] = {}
    first = 0
    for line in beginning.splitlines(keepends=True):
        first += len(line)
        key, _, value = line.decode("latin-1").partition("=")
        fields[key.strip().lower()] = value.strip()
        if key.strip().lower() == _DATA:
            break
    axes, data = fields.get("ndims", ""), fields.get(_DATA, "")
    if not (axes.isascii() and axes.isdigit() and len(axes) < 3 and 0 < int(axes) <= _MOST_AXES) or not data:
        raise not_an_image(path)
    if "%" in data or data.split()[0].upper() == "LIST":
        raise UnreadableError(
            f"{path}: its voxels are in several files. Export it as one .mha or .nrrd file.", code="not_an_image"
        )
    _require_numbers(path, fields)
    compression = "zlib" if fields.get("compresseddata", "").lower() in ("true", "1") else None
    if data.upper() == "LOCAL":
        return StoredData(path, first, compression)
    skipped = fields.get("headersize", "0")
    return StoredData(path.parent / data, int(skipped) if skipped.isdecimal() else 0, compression)


def _require_numbers(path: Path, fields: Mapping[str, str]) -> None:
    for key in _NUMBERS:
        for text in fields.get(key, "0").split() or [""]:
            try:
                sound = math.isfinite(float(text))
            except ValueError:
                sound = False
            if not sound:
                spacing = "spacing is 0 or not a number" if key == "elementspacing" else f"{key} is not a number"
                raise GeometryError(
                    f"{path}: voxel {spacing}, the header is damaged. Re-export the scan.",
                    code="spacing_impossible" if key == "elementspacing" else "directions_impossible",
                )


def _nrrd(path: Path, beginning: bytes) -> StoredData:
    lines, first, data = beginning.splitlines(keepends=True), 0, path
    compression = None
    for line in lines:
        first += len(line)
        key, _, value = line.decode("latin-1").partition(":")
        name, value = key.strip().lower(), value.strip()
        if name == "encoding" and value.lower() in ("gz", "gzip"):
            compression = "gzip"
        if name in ("data file", "datafile"):
            data = path.parent / value
        if not line.strip():
            break
    return StoredData(data, first if data == path else 0, compression)


def _inflated(stored: StoredData) -> int:
    """Return the number of unpacked bytes of a zlib or gzip stream."""
    unpacker, count = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32), 0
    with stored.file.open("rb") as file:
        file.seek(stored.first)
        while not unpacker.eof and (block := file.read(_BLOCK)):
            while block and not unpacker.eof:  # in parts: a bomb must not fill the memory
                count += len(unpacker.decompress(block, 16 * _BLOCK))
                block = unpacker.unconsumed_tail
    if not unpacker.eof:
        raise EOFError
    return count


def _gunzipped(stored: StoredData) -> int:
    """Return the number of unpacked bytes of a gzip file."""
    count = 0
    with stored.file.open("rb") as file:
        file.seek(stored.first)
        with gzip.GzipFile(fileobj=file) as unpacked:
            while block := unpacked.read(16 * _BLOCK):
                count += len(block)
    return count
