"""Header values of each frame of a CT image, the same for classic and enhanced images."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pancascade.errors import GeometryError, ScanError, UnreadableError
from pancascade.imaging.io.dicom.dicom_files import quiet, read_header

if TYPE_CHECKING:
    from pydicom import Dataset

Numbers = tuple[float, ...]

_FARTHEST_MM = 1e6
_LARGEST_RESCALE = 1e6
"""Beyond it no stored value becomes a Hounsfield unit."""


@dataclass(frozen=True)
class Frame:
    """One slice with its position and the rescaling of its stored values.

    Attributes:
        file: File of its pixels.
        index: Index of the frame in the file, from 0.
        uid: SOP instance UID of the file.
        size: Rows and columns.
        position_mm: Centre of the first pixel, LPS+ (PS3.3 C.7.6.2.1.1).
        orientation: Direction cosines of a row, then of a column, LPS+.
        spacing_mm: Distance between the centres of rows, then of columns.
        thickness_mm: SliceThickness, if given.
        slope: HU = slope * stored value + intercept; None if missing.
        intercept: As above.
    """

    file: Path
    index: int
    uid: str
    size: tuple[int, int]
    position_mm: Numbers
    orientation: Numbers
    spacing_mm: Numbers
    thickness_mm: float | None
    slope: float | None
    intercept: float | None


def frames_of(file: Path) -> list[Frame]:
    """Return all frames of one file: one for classic CT, many for enhanced CT.

    Args:
        file: DICOM image.

    Returns:
        Frames in the file's order.

    Raises:
        UnreadableError: no such file, a damaged header, no image, or a rescale that CT does not allow.
        GeometryError: PixelSpacing, ImagePositionPatient or ImageOrientationPatient is missing or impossible.
    """
    if not file.is_file():
        raise UnreadableError(
            f"{file}: there is no such file any more. Look for the series again.", code="no_such_file"
        )
    header = read_header(file)
    if header is None:
        raise UnreadableError(
            f"{file}: the DICOM header is damaged. Copy or export the file again.", code="header_damaged"
        )
    with quiet():
        try:
            return _frames(file, header)
        except ScanError:
            raise
        # A value that cannot be decoded may raise any exception in pydicom.
        except Exception as error:
            raise UnreadableError(
                f"{file}: the DICOM header is damaged. Copy or export the file again.", code="header_damaged"
            ) from error


def _frames(file: Path, header: "Dataset") -> list[Frame]:
    size = (_integer(header, "Rows"), _integer(header, "Columns"))
    if min(size) < 1:
        raise UnreadableError(f"{file}: this DICOM file holds no picture. Give the CT series.", code="not_an_image")
    if header.get("ModalityLUTSequence"):
        raise UnreadableError(
            f"{file}: a table (ModalityLUTSequence) stands in place of rescale slope and intercept, which CT does not "
            "allow. Export the original series.",
            code="modality_lut",
        )
    groups = header.get("PerFrameFunctionalGroupsSequence") or []
    count = max(1, _integer(header, "NumberOfFrames"))
    if count != max(1, len(groups)):
        raise GeometryError(
            f"{file}: {count} frames, but positions for {len(groups)} of them. Export the series again, "
            "one file a slice if the scanner allows it.",
            code="place_missing",
        )
    shared = [*(header.get("SharedFunctionalGroupsSequence") or []), header]
    return [_frame(file, index, size, [*groups[index : index + 1], *shared]) for index in range(count)]


def _frame(file: Path, index: int, size: tuple[int, int], groups: "list[Dataset]") -> Frame:
    """Return one frame; `groups` holds, in order of priority, its own values, the shared values, the whole image."""
    measures = _macro(groups, "PixelMeasuresSequence", "PixelSpacing")
    place = _macro(groups, "PlanePositionSequence", "ImagePositionPatient")
    plane = _macro(groups, "PlaneOrientationSequence", "ImageOrientationPatient")
    values = _macro(groups, "PixelValueTransformationSequence", "RescaleSlope")
    frame = Frame(
        file=file,
        index=index,
        uid=str(groups[-1].get("SOPInstanceUID", "")),
        size=size,
        position_mm=_required(place, "ImagePositionPatient", 3, file=file),
        orientation=_required(plane, "ImageOrientationPatient", 6, file=file),
        spacing_mm=_required(measures, "PixelSpacing", 2, file=file),
        thickness_mm=_optional(measures, "SliceThickness"),
        slope=_optional(values, "RescaleSlope"),
        intercept=_optional(values, "RescaleIntercept"),
    )
    if max(map(abs, (*frame.position_mm, *frame.orientation, *frame.spacing_mm))) > _FARTHEST_MM:
        raise GeometryError(
            f"{file}: its place in the patient is damaged, more than a kilometre away. Export the original CT series.",
            code="place_missing",
        )
    if min(frame.spacing_mm) <= 0:
        raise GeometryError(
            f"{file}: PixelSpacing is {frame.spacing_mm}, it must be above 0. Re-export the scan.",
            code="spacing_impossible",
        )
    _refuse_rescale(frame)
    return frame


def _refuse_rescale(frame: Frame) -> None:
    if frame.slope == 0:
        raise UnreadableError(
            f"{frame.file}: RescaleSlope is 0, all HU would be the same. Re-export the scan.", code="rescale_impossible"
        )
    for keyword, value in (("RescaleSlope", frame.slope), ("RescaleIntercept", frame.intercept)):
        if abs(value or 0) > _LARGEST_RESCALE:
            raise UnreadableError(
                f"{frame.file}: {keyword} is {value:g}, which gives no HU. Re-export the scan.",
                code="rescale_impossible",
            )


def _macro(groups: "list[Dataset]", sequence: str, keyword: str) -> "Dataset":
    for group in groups:
        if group.get(sequence):
            return group[sequence].value[0]
        if keyword in group:
            return group
    return groups[-1]


def _required(group: "Dataset", keyword: str, count: int, *, file: Path) -> Numbers:
    numbers = _numbers(group, keyword)
    if numbers is None or len(numbers) != count:
        raise GeometryError(
            f"{file}: {keyword} is missing or damaged, so the position of its pixels is unknown. "
            "Export the original CT series, with all headers.",
            code="place_missing",
        )
    return numbers


def _optional(group: "Dataset", keyword: str) -> float | None:
    numbers = _numbers(group, keyword)
    # Two values for one are damage: neither is certain.
    return numbers[0] if numbers is not None and len(numbers) == 1 else None


def _numbers(group: "Dataset", keyword: str) -> Numbers | None:
    try:
        value: Any = group.get(keyword)
        numbers = tuple(map(float, value if hasattr(value, "__len__") and not isinstance(value, str) else [value]))
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def _integer(header: "Dataset", keyword: str) -> int:
    numbers = _numbers(header, keyword)
    return int(numbers[0]) if numbers else 0
