"""Images at the same position of a series: identical copies are left out, different images are refused."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pancascade.errors import GeometryError, ScanError
from pancascade.imaging.io.dicom.frames import Frame
from pancascade.imaging.io.dicom.pixels import hounsfield
from pancascade.imaging.io.dicom.spacing import ROUNDING_MM, named
from pancascade.messages.counts import counted
from pancascade.messages.notices import Notice


def without_copies(
    ordered: Sequence[Frame], normal: npt.NDArray[np.float64], *, source: Path
) -> tuple[list[Frame], list[Notice]]:
    """Remove repeated copies of an image, regardless of their UIDs.

    Args:
        ordered: Slices sorted along the normal; the first at each position is kept.
        normal: Unit vector across the slices, LPS+.
        source: Names the series in messages.

    Returns:
        The kept slices, and a notice if copies were removed.

    Raises:
        GeometryError: different images lie at the same position.
    """
    kept = [*ordered[:1]]
    rivals: list[tuple[Frame, Frame]] = []
    copies: list[Frame] = []
    for frame in ordered[1:]:
        if normal @ np.subtract(frame.position_mm, kept[-1].position_mm) > ROUNDING_MM:
            kept.append(frame)
        elif _is_copy(frame, kept[-1]):
            copies.append(frame)
        else:
            rivals.append((kept[-1], frame))
    if rivals:
        first, second = rivals[0]
        raise GeometryError(
            f"{source}: different images lie at the same position ({counted(len(rivals), 'slice')}), the first are "
            f"{named(first)} and {named(second)}. Export one phase or reconstruction alone.",
            code="duplicate_slices",
        )
    return kept, [_left_out(copies, source)] if copies else []


def _left_out(copies: Sequence[Frame], source: Path) -> Notice:
    are, were = ("is", "was") if len(copies) == 1 else ("are", "were")
    return Notice(
        code="copies_left_out",
        about="input",
        sentence=f"{source}: {counted(len(copies), 'slice')} of the series {are} present twice, with the same pixels, "
        f"and {were} read once; the first copy is {named(copies[0])}.",
        values={"copies": len(copies)},
    )


def _is_copy(frame: Frame, other: Frame) -> bool:
    """Return whether two images at one position have equal HU, each rescaled by its own header."""
    sideways_mm = float(np.linalg.norm(np.subtract(frame.position_mm, other.position_mm)))
    if frame.file == other.file or frame.size != other.size or sideways_mm > ROUNDING_MM:
        return False
    try:
        first, second = (hounsfield([each], source=each.file) for each in (frame, other))
    except ScanError:
        return False
    return bool(np.array_equal(first, second))
