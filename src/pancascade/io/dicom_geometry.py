"""From the places of single slices to one grid, or a sentence why they make none."""

import filecmp
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pancascade.errors import GeometryError
from pancascade.io.dicom_frames import Frame, Numbers

_logger = logging.getLogger(__name__)

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
# Headers round to 0.01 mm, and nobody sees it; otherwise a slice may be off by one percent of the spacing.
_ROUNDING_MM = 0.02
_UNEVEN = 0.01
_TILT_DEGREES = 0.5
# Less is rounding, and a grid at right angles can be written to more formats.
_STRAIGHT_DEGREES = 0.01

Array = npt.NDArray[np.float64]


def arrange(frames: Sequence[Frame], *, source: Path) -> tuple[list[Frame], Array]:
    """Sort slices by their place along the slice normal, and place the grid that they make.

    Args:
        frames: Slices of one series, in any order.
        source: Names the series in messages.

    Returns:
        The slices in the order of the grid's third axis, copies left out, and the (4, 4) affine from
        (column, row, slice) to RAS+ mm. A shear below 0.5 degrees is kept in it.

    Raises:
        GeometryError: sizes, orientations or spacings differ, several images at one place, missing or
            unevenly spaced slices, a gantry tilt, or a single slice without thickness.
    """
    _require_same(
        frames,
        lambda frame: frame.size,
        what="number of rows and columns",
        tolerance=0,
        code="mixed_sizes",
        source=source,
    )
    _require_same(
        frames,
        lambda frame: frame.orientation,
        what="orientation",
        tolerance=1e-3,
        code="mixed_orientations",
        source=source,
    )
    _require_same(
        frames,
        lambda frame: frame.spacing_mm,
        what="PixelSpacing",
        tolerance=1e-4,
        code="mixed_spacings",
        source=source,
    )
    row, column, normal = _axes(frames[0])
    ordered = sorted(frames, key=lambda frame: (normal @ frame.position_mm, str(frame.file), frame.index))
    ordered = _without_copies(ordered, normal, source=source)
    affine = np.eye(4)
    affine[:3, 0] = _LPS_TO_RAS @ row * ordered[0].spacing_mm[1]
    affine[:3, 1] = _LPS_TO_RAS @ column * ordered[0].spacing_mm[0]
    affine[:3, 2] = _LPS_TO_RAS @ _slice_step_mm(ordered, normal, source=source)
    affine[:3, 3] = _LPS_TO_RAS @ ordered[0].position_mm
    return ordered, affine


def _require_same(
    frames: Sequence[Frame], value: Callable[[Frame], Numbers], *, what: str, tolerance: float, code: str, source: Path
) -> None:
    values = np.array([value(frame) for frame in frames], dtype=np.float64)
    # Rounding groups what is nearly equal; the largest group says what is usual.
    _, members, counts = np.unique(np.round(values / (tolerance or 1)), axis=0, return_index=True, return_counts=True)
    usual = values[members[counts.argmax()]]
    odd = np.flatnonzero((np.abs(values - usual) > tolerance).any(axis=1))
    if odd.size:
        first = int(odd[0])
        raise GeometryError(
            f"{source}: the {what} differs between the slices: {odd.size} of {len(frames)} are unlike the others, "
            f"the first is {frames[first].file.name} with {_listed(values[first])} against {_listed(usual)}. "
            "Move what does not belong to the scan out of the folder.",
            code=code,
        )


def _axes(frame: Frame) -> tuple[Array, Array, Array]:
    """Unit vectors along a row, along a column, and across the slice, LPS+."""
    row, column = np.reshape(frame.orientation, (2, 3))
    lengths = np.linalg.norm((row, column), axis=1)
    if np.abs(lengths - 1).max() > 1e-2 or abs(row @ column) > 1e-3:
        raise GeometryError(
            f"{frame.file}: ImageOrientationPatient is {_listed(frame.orientation)}, which is not two directions at "
            "right angles. Re-export the scan.",
            code="directions_impossible",
        )
    normal = np.cross(row, column)
    return row / lengths[0], column / lengths[1], normal / np.linalg.norm(normal)


def _without_copies(ordered: list[Frame], normal: Array, *, source: Path) -> list[Frame]:
    """Leave out second copies of a file; refuse different images at one place."""
    kept = ordered[:1]
    rivals: list[tuple[Frame, Frame]] = []
    copies: list[Frame] = []
    for frame in ordered[1:]:
        if normal @ np.subtract(frame.position_mm, kept[-1].position_mm) > _ROUNDING_MM:
            kept.append(frame)
        elif _is_copy(frame, kept[-1]):
            copies.append(frame)
        else:
            rivals.append((kept[-1], frame))
    if rivals:
        first, second = rivals[0]
        raise GeometryError(
            f"{source}: different images lie at the same place ({_counted(len(rivals))}), the first are "
            f"{_named(first)} and {_named(second)}. These may be several phases or reconstructions "
            "in one series; export one of them alone.",
            code="duplicate_slices",
        )
    if copies:
        _logger.warning(
            "%s: left out what is there twice: %d file(s), the first is %s.", source, len(copies), copies[0].file.name
        )
    return kept


def _is_copy(frame: Frame, other: Frame) -> bool:
    return (
        (frame.uid, frame.index) == (other.uid, other.index)
        and frame.file != other.file
        and filecmp.cmp(frame.file, other.file, shallow=False)
    )


def _slice_step_mm(ordered: Sequence[Frame], normal: Array, *, source: Path) -> Array:
    """From each slice to the next, LPS+ mm."""
    if len(ordered) == 1:
        thickness_mm = ordered[0].thickness_mm or 0.0
        if thickness_mm <= 0:
            raise GeometryError(
                f"{source}: a single slice without SliceThickness is no scan. Give the whole series.",
                code="single_slice",
            )
        return normal * thickness_mm
    positions = np.array([frame.position_mm for frame in ordered])
    along_mm = (positions - positions[0]) @ normal
    _require_even(ordered, along_mm, source=source)
    step = (positions[-1] - positions[0]) / (len(ordered) - 1)
    _require_upright(positions, step, normal, pixel_mm=min(ordered[0].spacing_mm), source=source)
    return normal * (normal @ step) if _tilt_degrees(step, normal) < _STRAIGHT_DEGREES else step


def _require_even(ordered: Sequence[Frame], along_mm: Array, *, source: Path) -> None:
    steps_mm = np.diff(along_mm)
    usual_mm = float(np.sort(steps_mm)[(len(steps_mm) - 1) // 2])
    tolerance_mm = max(_UNEVEN * usual_mm, _ROUNDING_MM)
    grid_mm = np.linspace(0, along_mm[-1], len(along_mm))
    if max(np.abs(steps_mm - usual_mm).max(), np.abs(along_mm - grid_mm).max()) <= tolerance_mm:
        return
    counts = np.rint(steps_mm / usual_mm).astype(int)
    if counts.max() > 1 and (np.abs(steps_mm - counts * usual_mm) <= tolerance_mm * counts).all():
        gaps = [
            f"{counts[gap] - 1} between {_named(ordered[gap])} and {_named(ordered[gap + 1])} "
            f"({steps_mm[gap]:.2f} mm apart)"
            for gap in np.flatnonzero(counts > 1).tolist()
        ]
        missing = int((counts - 1).sum())
        where = "; ".join(gaps[:3]) + ("; ..." if len(gaps) > 3 else "")
        raise GeometryError(
            f"{source}: {_counted(missing)} missing from a series of one every {usual_mm:.2f} mm: "
            f"{where}. Copy or download the series again.",
            code="missing_slices",
        )
    worst = int(np.abs(steps_mm - usual_mm).argmax())
    raise GeometryError(
        f"{source}: the slices are unevenly spaced, {steps_mm.min():.2f} to {steps_mm.max():.2f} mm apart; the worst "
        f"are {_named(ordered[worst])} and {_named(ordered[worst + 1])}. Give the series whole, or resample it first.",
        code="uneven_slices",
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
    if sideways_mm.max() > max(0.25 * pixel_mm, 2 * _ROUNDING_MM):
        raise GeometryError(
            f"{source}: the slices do not lie on one line, up to {sideways_mm.max():.1f} mm beside it. "
            "Resample the series first, or give another reconstruction.",
            code="crooked_stack",
        )


def _tilt_degrees(step: Array, normal: Array) -> float:
    along_mm = normal @ step
    return math.degrees(math.atan2(float(np.linalg.norm(step - along_mm * normal)), float(along_mm)))


def _named(frame: Frame) -> str:
    return frame.file.name if frame.index == 0 else f"{frame.file.name} frame {frame.index + 1}"


def _counted(slices: int) -> str:
    return "1 slice" if slices == 1 else f"{slices} slices"


def _listed(values: npt.ArrayLike) -> str:
    return " ".join(f"{value:g}" for value in np.ravel(values))
