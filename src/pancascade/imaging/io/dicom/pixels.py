"""Conversion of stored pixels of CT slices to Hounsfield units."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pancascade.errors import ScanError, UnreadableError
from pancascade.files.file_names import abbreviated
from pancascade.imaging.io.dicom.dicom_files import quiet
from pancascade.imaging.io.dicom.frames import Frame
from pancascade.imaging.volume import memory_mapped

if TYPE_CHECKING:
    from pydicom import Dataset

_logger = logging.getLogger(__name__)

_AIR_HU = -1024
# Range of scanned tissue. Padding in this range is a wrong header; replacing it would make holes in the scan.
_SCANNED_HU = (-1000, 3071)
# JPEG-LS and JPEG 2000 store their own number of bits. gdcm and pydicom compress BitsStored bits, and overlays may not
# be in compressed pixels (PS3.5 8.2), so a smaller BitsStored in the header is wrong. A writer that compresses every
# bit of the cell, as dcmtk can, keeps an overlay, which the header names.
_SELF_DESCRIBING = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.9")

Pixels = npt.NDArray[Any]


def hounsfield(frames: Sequence[Frame], *, source: Path, keep_on_disk: bool = False) -> Pixels:
    """Decode slices, rescale each by its own slope and intercept, and replace padding by air.

    Args:
        frames: Frames in the order of the result, all of one size.
        source: Names the series in messages.
        keep_on_disk: Store the voxels in a temporary file instead of memory.

    Returns:
        (I, J, K) = (columns, rows, slices). int16; int32 if int16 does not hold the values; float32 if a slope or
        intercept is fractional.

    Raises:
        UnreadableError: pixels are missing, truncated, in colour, or of an unknown transfer syntax.
    """
    whole = all(float(number or 0).is_integer() for frame in frames for number in (frame.slope, frame.intercept))
    if not whole:
        _logger.info("%s: a rescale slope or intercept is a fraction; the voxels are float32.", source)
    room = memory_mapped if keep_on_disk else np.empty
    slices: Pixels = room((len(frames), *frames[0].size), dtype=np.int16 if whole else np.float32)
    places: defaultdict[Path, dict[int, int]] = defaultdict(dict)
    for place, frame in enumerate(frames):
        places[frame.file][frame.index] = place
    kept_padding: set[float] = set()
    for file, place_of in places.items():
        for index, (stored, image) in enumerate(_decoded(file, count=len(place_of))):
            place = place_of[index]
            hu = _rescaled(_used_bits(stored, image), frames[place], whole=whole)
            _pad_with_air(hu, stored, image, kept_padding)
            slices = _wide_enough(slices, hu)
            slices[place] = hu
    if kept_padding:
        _logger.warning("%s: padding of %s HU looks like tissue; left unchanged.", source, sorted(kept_padding))
    return slices.transpose(2, 1, 0)


def _decoded(file: Path, *, count: int) -> "list[tuple[Pixels, Dataset]]":
    """Call `_stored`, and convert any exception of pydicom to one sentence."""
    with quiet():
        try:
            return _stored(file, count=count)
        except (ScanError, MemoryError):
            raise
        except Exception as error:
            raise _truncated(file) from error


def _image(file: Path) -> "Dataset":
    import pydicom

    try:
        image = pydicom.dcmread(file, force=True)
        if "TransferSyntaxUID" not in image.file_meta:
            implicit, _ = image.original_encoding
            image.file_meta.TransferSyntaxUID = (
                pydicom.uid.ImplicitVRLittleEndian if implicit else pydicom.uid.ExplicitVRLittleEndian
            )
    except Exception as error:
        raise _truncated(file) from error
    if "PixelData" not in image:
        raise _truncated(file)
    if int(image.get("SamplesPerPixel", 1)) != 1 or image.get("PhotometricInterpretation") == "PALETTE COLOR":
        raise UnreadableError(
            f"{file}: a picture in colours, not Hounsfield units. Give the original CT series.", code="colours"
        )
    bits, high_bit = image.get("BitsStored"), image.get("HighBit")
    if None not in (bits, high_bit) and high_bit != bits - 1:
        raise UnreadableError(
            f"{file}: HighBit is {abbreviated(str(high_bit))} where BitsStored is {abbreviated(str(bits))}, an "
            "arrangement of bits that is not read. "
            "Convert the series with `dcm2niix`.",
            code="transfer_syntax",
        )
    if not 1 <= int(image.BitsStored) <= int(image.BitsAllocated):
        raise _truncated(file)
    return image


def _stored(file: Path, *, count: int) -> "list[tuple[Pixels, Dataset]]":
    """Return each frame's stored values (rows, columns) with unused bits unchanged, and its image header."""
    from pydicom.pixels import get_decoder
    from pydicom.uid import JPEGExtended12Bit

    image = _image(file)
    size = (int(image.Rows), int(image.Columns))
    syntax = image.file_meta.TransferSyntaxUID
    try:
        known = get_decoder(syntax).is_available
    except NotImplementedError:
        known = False
    try:
        # pydicom does not pass 12-bit JPEG and the older kinds of JPEG to gdcm, but gdcm reads them.
        frames = _read_by_pydicom(image) if known and syntax != JPEGExtended12Bit else _read_by_gdcm(file, size)
    except Exception as error:
        if known:
            raise _truncated(file) from error
        raise UnreadableError(
            f"{file}: pixels stored as {syntax.name} cannot be decoded. Decompress the series (`gdcmconv --raw`), "
            "or convert it with `dcm2niix`.",
            code="transfer_syntax",
        ) from error
    if len(frames) != count or any(frame.shape != size for frame in frames):
        raise _truncated(file)
    return [(frame, image) for frame in frames]


def _read_by_pydicom(image: "Dataset") -> list[Pixels]:
    from pydicom.pixels import iter_pixels

    try:
        return list(iter_pixels(image, raw=True, correct_unused_bits=False))
    except ValueError as error:
        if "read-only" not in str(error):
            raise
    # pydicom corrects the sign of JPEG-LS in place, on a writable copy only if frames are requested by index.
    frames = range(int(image.get("NumberOfFrames") or 1))
    return list(iter_pixels(image, raw=True, correct_unused_bits=False, indices=frames))


def _read_by_gdcm(file: Path, size: tuple[int, int]) -> list[Pixels]:
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(str(file))
    if not reader.Read():
        raise ValueError("gdcm cannot read this file")
    image = reader.GetImage()
    kind = image.GetPixelFormat()
    dtype = np.dtype(f"{'i' if kind.GetPixelRepresentation() else 'u'}{kind.GetBitsAllocated() // 8}")
    # gdcm returns its bytes as text, in an encoding that loses none.
    content = image.GetBuffer().encode("utf-8", "surrogateescape")
    return [*np.frombuffer(content, dtype=dtype).reshape(-1, *size)]


def _used_bits(stored: Pixels, image: "Dataset") -> Pixels:
    """Return the values without the bits above BitsStored, where overlays and scanners leave other data."""
    unused = 8 * stored.dtype.itemsize - int(image.BitsStored)
    compressed = str(image.file_meta.TransferSyntaxUID).startswith(_SELF_DESCRIBING)
    if unused <= 0 or (compressed and not _has_overlay_in_unused_bits(image)):
        return stored
    # Shifted left and back: a signed dtype copies the sign bit, an unsigned one fills with zeros.
    return (stored << unused) >> unused


def _has_overlay_in_unused_bits(image: "Dataset") -> bool:
    """Return whether an overlay is stored in unused bits of pixels, by its bit position (PS3.3-2004 C.9.2)."""
    positions = (image.get((group, 0x0102)) for group in range(0x6000, 0x6020, 2))
    return any(
        position is not None and str(position.value).strip().isdigit() and int(position.value) >= int(image.BitsStored)
        for position in positions
    )


def _rescaled(stored: Pixels, frame: Frame, *, whole: bool) -> Pixels:
    slope = 1.0 if frame.slope is None else frame.slope
    intercept = frame.intercept or 0.0
    if whole:
        return stored.astype(np.int64) * int(slope) + int(intercept)
    return (stored * slope + intercept).astype(np.float32)


def _pad_with_air(hu: Pixels, stored: Pixels, image: "Dataset", kept: set[float]) -> None:
    """Overwrite padding (PS3.3 C.7.5.1.1.2) in place; only record padding that looks like tissue."""
    first = _as_stored(image.get("PixelPaddingValue"), image)
    if first is None:
        return
    last = _as_stored(image.get("PixelPaddingRangeLimit"), image)
    low, high = (first, first) if last is None else sorted((first, last))
    used = _used_bits(stored, image)
    padded = ((stored >= low) & (stored <= high)) | ((used >= low) & (used <= high))
    if not padded.any():
        return
    found_hu = hu[padded]
    if ((found_hu > _SCANNED_HU[0]) & (found_hu < _SCANNED_HU[1])).any():
        kept.add(float(found_hu.max()))
    else:
        hu[padded] = _AIR_HU


def _as_stored(value: Any, image: "Dataset") -> int | None:
    """Return a header's number in the signedness of the pixels: many writers give -2000 as 63536 or the reverse."""
    try:
        number = int(value)
    except (TypeError, ValueError):
        return None
    period = 1 << int(image.BitsAllocated)
    low = -(period >> 1) if int(image.PixelRepresentation) else 0
    return (number - low) % period + low


def _wide_enough(slices: Pixels, hu: Pixels) -> Pixels:
    if slices.dtype == np.int16 and (hu.min() < -32768 or hu.max() > 32767):
        return slices.astype(np.int32)
    return slices


def _truncated(file: Path) -> UnreadableError:
    return UnreadableError(
        f"{file}: the pixel data is missing, ends too early, or is damaged. Copy or download the file again.",
        code="truncated",
    )
