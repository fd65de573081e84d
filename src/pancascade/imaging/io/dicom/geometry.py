"""From the places of single slices to one grid, or a sentence why they make none."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pancascade.errors import GeometryError
from pancascade.imaging.io.dicom.copies import without_copies
from pancascade.imaging.io.dicom.frames import Frame, Numbers
from pancascade.imaging.io.dicom.spacing import slice_step_mm
from pancascade.messages.notices import Notice

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])

Array = npt.NDArray[np.float64]


class Stack(NamedTuple):
    """Slices that make one grid.

    Attributes:
        frames: In the order of the grid's third axis, copies left out.
        affine: (4, 4), from (column, row, slice) to RAS+ mm. A shear below 0.5 degrees is kept in it.
        notices: What was left out, or taken as even although it is not quite.
    """

    frames: list[Frame]
    affine: Array
    notices: tuple[Notice, ...] = ()


def arrange(frames: Sequence[Frame], *, source: Path) -> Stack:
    """Sort slices by their place along the slice normal, and place the grid that they make.

    Args:
        frames: Slices of one series, in any order.
        source: Names the series in messages.

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
    # Rounding groups what is nearly equal; the largest group says what is usual.
    _, members, counts = np.unique(np.round(values / (tolerance or 1)), axis=0, return_index=True, return_counts=True)
    usual = values[members[counts.argmax()]]
    odd = np.flatnonzero((np.abs(values - usual) > tolerance).any(axis=1))
    if odd.size:
        first = int(odd[0])
        raise GeometryError(
            f"{source}: the {what} differs between the slices: {odd.size} of {len(frames)} are unlike the others, "
            f"the first is {frames[first].file.name} with {_listed(values[first])} against {_listed(usual)}. "
            "Take out what does not belong.",
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


def _listed(values: npt.ArrayLike) -> str:
    return " ".join(f"{value:g}" for value in np.ravel(values))
