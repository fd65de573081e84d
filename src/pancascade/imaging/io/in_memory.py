"""Scans that a program has in memory: NumPy arrays and nibabel's images."""

from collections.abc import Sequence
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from pancascade.errors import GeometryError
from pancascade.imaging.volume import Volume

_LETTERS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
"""Of each direction the RAS+ axis and its sign."""


def as_volume(
    scan: Any,
    *,
    affine: npt.ArrayLike | None = None,
    spacing_mm: Sequence[float] | None = None,
    orientation: str = "RAS",
) -> Volume:
    """A scan in memory as a volume; the voxels are not copied where they need not be.

    Args:
        scan: A `Volume`; an image of nibabel; or an array (I, J, K), in Hounsfield units for a CT.
        affine: Of an array: (4, 4), voxel index to RAS+ mm, nibabel's convention.
        spacing_mm: Of an array without an affine: distance of the voxels along each of its axes.
        orientation: Of such an array: where each axis points, such as ``LPS`` for left, posterior, superior.

    Raises:
        GeometryError: An array has neither affine nor spacing, or they are none; or another kind of scan has one.
    """
    if isinstance(scan, np.ndarray):
        return Volume(scan, _affine(affine, spacing_mm, orientation))
    if affine is not None or spacing_mm is not None:
        raise GeometryError("affine and spacing_mm are of NumPy arrays: other scans have their own. Leave them out.")
    if isinstance(scan, Volume):
        return scan
    if not isinstance(scan, nib.spatialimages.SpatialImage):
        raise GeometryError(
            f"{type(scan).__name__}: no scan. Give a path, a Volume, an image of nibabel, or a NumPy array and affine."
        )
    if scan.affine is None:
        raise GeometryError("The image of nibabel has no affine. Give its array, and the affine beside it.")
    voxels = np.asanyarray(scan.dataobj)
    return Volume(voxels.reshape(voxels.shape[:3]) if voxels.shape[3:] == (1,) else voxels, scan.affine)


def _affine(
    affine: npt.ArrayLike | None, spacing_mm: Sequence[float] | None, orientation: str
) -> npt.NDArray[np.float64]:
    if affine is not None:
        if spacing_mm is not None:
            raise GeometryError("affine and spacing_mm tell the same of an array. Give one of them.")
        return _numbers(affine, name="affine")
    if spacing_mm is None:
        raise GeometryError("An array does not tell its spacing. Give affine=, or spacing_mm= and orientation=.")
    distances = _numbers(spacing_mm, name="spacing_mm")
    axes = [_LETTERS.get(letter, (-1, 0)) for letter in orientation.upper()]
    if distances.shape != (3,) or {axis for axis, _ in axes} != {0, 1, 2} or len(axes) != 3:
        raise GeometryError(f"spacing_mm {spacing_mm}, orientation {orientation!r}: give three each, such as 'LPS'.")
    if not (np.isfinite(distances) & (distances > 0)).all():
        raise GeometryError(f"spacing_mm {spacing_mm}: must be positive; directions are told by orientation=.")
    made = np.eye(4)
    made[:3, :3] = 0
    for column, ((axis, sign), distance) in enumerate(zip(axes, distances, strict=True)):
        made[axis, column] = sign * distance
    return made


def _numbers(values: npt.ArrayLike, *, name: str) -> npt.NDArray[np.float64]:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise GeometryError(f"{name} {str(values)[:60]}: must be numbers.") from error
