"""Slice spacing of a series, with checks that slices are evenly spaced on one line."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pancascade.errors import GeometryError
from pancascade.files.file_names import abbreviated
from pancascade.imaging.io.dicom.frames import Frame
from pancascade.messages.counts import counted
from pancascade.messages.notices import Notice

ROUNDING_MM = 0.02
"""Rounding of headers (0.01 mm) that is always accepted; the tolerance is at least one percent of the spacing."""

_UNEVEN = 0.01
# Positions rounded to 0.1 mm, or a shaking table: a small part of a voxel, read with a notice.
_JITTER_MM = 0.15
_JITTER = 0.12
_TILT_DEGREES = 0.5
# Less is rounding, and an orthogonal grid can be written to more formats.
_STRAIGHT_DEGREES = 0.01

Array = npt.NDArray[np.float64]


def slice_step_mm(ordered: Sequence[Frame], normal: Array, *, source: Path) -> tuple[Array, list[Notice]]:
    """Return the step from each slice to the next, (3,) LPS+ mm, and notices about uneven slices.

    Args:
        ordered: Slices sorted along the normal, at different positions.
        normal: Unit vector across the slices, LPS+.
        source: Names the series in messages.

    Raises:
        GeometryError: slices are missing or unevenly spaced, the stack leans, or a single slice has no thickness.
    """
    if len(ordered) == 1:
        thickness_mm = ordered[0].thickness_mm or 0.0
        if thickness_mm <= 0:
            raise GeometryError(
                f"{source}: a single slice without SliceThickness is no scan. Give the whole series.",
                code="single_slice",
            )
        return normal * thickness_mm, []
    positions = np.array([frame.position_mm for frame in ordered])
    along_mm = (positions - positions[0]) @ normal
    notices = _require_even(ordered, along_mm, source=source)
    step = (positions[-1] - positions[0]) / (len(ordered) - 1)
    _require_upright(positions, step, normal, pixel_mm=min(ordered[0].spacing_mm), source=source)
    straight = _tilt_degrees(step, normal) < _STRAIGHT_DEGREES
    return normal * (normal @ step) if straight else step, notices


def _require_even(ordered: Sequence[Frame], along_mm: Array, *, source: Path) -> list[Notice]:
    """Refuse unevenly spaced slices; return a notice for slices that are only nearly even."""
    steps_mm = np.diff(along_mm)
    usual_mm = float(np.sort(steps_mm)[(len(steps_mm) - 1) // 2])
    tolerance_mm = max(_UNEVEN * usual_mm, ROUNDING_MM)
    grid_mm = np.linspace(0, along_mm[-1], len(along_mm))
    if max(np.abs(steps_mm - usual_mm).max(), np.abs(along_mm - grid_mm).max()) <= tolerance_mm:
        return []
    beside_mm, jitter_mm = np.abs(along_mm - _even_mm(along_mm)).max(), min(_JITTER_MM, _JITTER * usual_mm)
    if beside_mm <= jitter_mm:
        return [_rounded(steps_mm, float(beside_mm), source)]
    counts = np.rint(steps_mm / usual_mm).astype(int)
    if counts.max() > 1 and (np.abs(steps_mm - counts * usual_mm) <= tolerance_mm * counts).all():
        gaps = [
            f"{counts[gap] - 1} between {named(ordered[gap])} and {named(ordered[gap + 1])} "
            f"({steps_mm[gap]:.2f} mm apart)"
            for gap in np.flatnonzero(counts > 1).tolist()
        ]
        missing = int((counts - 1).sum())
        where = gaps[0] + (f"; {len(gaps) - 1} more" if len(gaps) > 1 else "")
        raise GeometryError(
            f"{source}: {counted(missing, 'slice')} missing from a series of one every {usual_mm:.2f} mm: "
            f"{where}. Copy the series again.",
            code="missing_slices",
        )
    worst = int(np.abs(steps_mm - usual_mm).argmax())
    raise GeometryError(
        f"{source}: the slices are unevenly spaced, {steps_mm.min():.2f} to {steps_mm.max():.2f} mm apart; the worst "
        f"are {named(ordered[worst])} and {named(ordered[worst + 1])}. Give the whole series or resample it.",
        code="uneven_slices",
    )


def _even_mm(along_mm: Array) -> Array:
    """Return the nearest evenly spaced positions, by least squares."""
    numbers = np.arange(len(along_mm)) - (len(along_mm) - 1) / 2
    return np.asarray(along_mm.mean() + numbers * (numbers @ along_mm) / (numbers @ numbers))


def _rounded(steps_mm: Array, beside_mm: float, source: Path) -> Notice:
    low_mm, high_mm = float(steps_mm.min()), float(steps_mm.max())
    return Notice(
        code="positions_rounded",
        about="input",
        sentence=f"{source}: the slices are {low_mm:.2f} to {high_mm:.2f} mm apart, up to {beside_mm:.2f} mm beside "
        "even places, as after rounding; they were read as even.",
        values={"lowest_mm": round(low_mm, 3), "highest_mm": round(high_mm, 3), "beside_mm": round(beside_mm, 3)},
    )


def _require_upright(positions: Array, step: Array, normal: Array, *, pixel_mm: float, source: Path) -> None:
    tilt_degrees = _tilt_degrees(step, normal)
    if tilt_degrees > _TILT_DEGREES:
        raise GeometryError(
            f"{source}: the stack of slices leans by {tilt_degrees:.1f} degrees (gantry tilt), so its voxels are not "
            "boxes. Straighten it with `dcm2niix`, which writes a file named *_Tilt*, or resample it first.",
            code="gantry_tilt",
        )
    beside = positions - positions[0] - np.arange(len(positions))[:, None] * step
    sideways_mm = np.linalg.norm(beside - (beside @ normal)[:, None] * normal, axis=1)
    if sideways_mm.max() > max(0.25 * pixel_mm, 2 * ROUNDING_MM):
        raise GeometryError(
            f"{source}: the slices do not lie on one line, up to {sideways_mm.max():.1f} mm beside it. "
            "Resample the series first, or give another reconstruction.",
            code="crooked_stack",
        )


def _tilt_degrees(step: Array, normal: Array) -> float:
    along_mm = normal @ step
    return math.degrees(math.atan2(float(np.linalg.norm(step - along_mm * normal)), float(along_mm)))


def named(frame: Frame) -> str:
    """Return the file name of a slice for messages, with the frame number after the first frame."""
    name = abbreviated(frame.file.name, most=32)  # many programs write a UID as name, up to 64 characters
    return name if frame.index == 0 else f"{name} frame {frame.index + 1}"
