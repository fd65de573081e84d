"""Conversion of slice positions to one grid, or an error that says why they form none."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pancascade.errors import GeometryError
from pancascade.imaging.io.dicom.copies import without_copies
from pancascade.imaging.io.dicom.frames import Frame, Numbers
from pancascade.imaging.io.dicom.spacing import named, slice_step_mm
from pancascade.messages.notices import Notice

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])

Array = npt.NDArray[np.float64]


class Stack(NamedTuple):
    """Slices that form one grid.

    Attributes:
        frames: Frames in the order of the grid's third axis, without copies.
        affine: (4, 4), from (column, row, slice) to RAS+ mm. A shear below 0.5 degrees is kept in it.
        notices: Notices about copies left out and about slices that are only nearly even.
    """

    frames: list[Frame]
    affine: Array
    notices: tuple[Notice, ...] = ()


def arrange(frames: Sequence[Frame], *, source: Path) -> Stack:
    """Sort slices along the slice normal, and return them with the affine of their grid.

    Args:
        frames: Slices of one series, in any order.
        source: Names the series in messages.

    Raises:
        GeometryError: sizes, orientations or spacings differ, several images at one position, missing or
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
    ordered, copies = without_copies(ordered, normal, source=source)
    step_mm, uneven = slice_step_mm(ordered, normal, source=source)
    affine = np.eye(4)
    affine[:3, 0] = _LPS_TO_RAS @ row * ordered[0].spacing_mm[1]
    affine[:3, 1] = _LPS_TO_RAS @ column * ordered[0].spacing_mm[0]
    affine[:3, 2] = _LPS_TO_RAS @ step_mm
    affine[:3, 3] = _LPS_TO_RAS @ ordered[0].position_mm
    return Stack(ordered, affine, (*copies, *uneven))


def _require_same(
    frames: Sequence[Frame], value: Callable[[Frame], Numbers], *, what: str, tolerance: float, code: str, source: Path
) -> None:
    values = np.array([value(frame) for frame in frames], dtype=np.float64)
    # Rounding groups nearly equal values; the largest group gives the usual value.
    _, members, counts = np.unique(np.round(values / (tolerance or 1)), axis=0, return_index=True, return_counts=True)
    usual = values[members[counts.argmax()]]
    odd = np.flatnonzero((np.abs(values - usual) > tolerance).any(axis=1))
    if odd.size:
        first = int(odd[0])
        pair = f" with {_listed(values[first])} against {_listed(usual)}" if usual.size < 6 else ""  # six are too long
        raise GeometryError(
            f"{source}: the {what} differs between the slices: {odd.size} of {len(frames)} differ from the others, "
            f"the first is {named(frames[first])}{pair}. Remove slices that do not belong.",
            code=code,
        )


def _axes(frame: Frame) -> tuple[Array, Array, Array]:
    """Return unit vectors along a row, along a column, and across the slice, LPS+."""
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


def _listed(values: npt.ArrayLike) -> str:
    return " ".join(f"{value:g}" for value in np.ravel(values))
