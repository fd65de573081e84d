"""Scans in memory: NumPy arrays and nibabel images."""

from collections.abc import Sequence
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from pancascade.errors import GeometryError
from pancascade.imaging.volume import Volume

_LETTERS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
"""RAS+ axis and sign of each direction."""


def as_volume(
    scan: Any,
    *,
    affine: npt.ArrayLike | None = None,
    spacing_mm: Sequence[float] | None = None,
    orientation: str = "RAS",
) -> Volume:
    """Convert a scan in memory to a volume; voxels are copied only if necessary.

    Args:
        scan: A `Volume`, a nibabel image, or an array (I, J, K), in Hounsfield units for a CT.
        affine: For an array: (4, 4), voxel index to RAS+ mm (nibabel's convention).
        spacing_mm: For an array without an affine: voxel spacing along each axis.
        orientation: For an array with spacing_mm: direction of each axis, e.g. ``LPS`` for left, posterior, superior.

    Raises:
        GeometryError: An array has neither affine nor spacing, or both, or an invalid one; or another scan has one.
    """
    if isinstance(scan, np.ndarray):
        return Volume(scan, _affine(affine, spacing_mm, orientation))
    if affine is not None or spacing_mm is not None:
        raise GeometryError("affine and spacing_mm are for NumPy arrays only: other scans have both. Leave them out.")
    if isinstance(scan, Volume):
        return scan
    if not isinstance(scan, nib.spatialimages.SpatialImage):
        raise GeometryError(
            f"{type(scan).__name__}: no scan. Give a path, a Volume, a nibabel image, or a NumPy array and affine."
        )
    if scan.affine is None:
        raise GeometryError("The nibabel image has no affine. Give its array and an affine.")
    voxels = np.asanyarray(scan.dataobj)
    return Volume(voxels.reshape(voxels.shape[:3]) if voxels.shape[3:] == (1,) else voxels, scan.affine)


def _affine(
    affine: npt.ArrayLike | None, spacing_mm: Sequence[float] | None, orientation: str
) -> npt.NDArray[np.float64]:
    if affine is not None:
        if spacing_mm is not None:
            raise GeometryError("affine and spacing_mm describe the same thing. Give one of them.")
        return _numbers(affine, name="affine")
    if spacing_mm is None:
        raise GeometryError("An array has no spacing of its own. Give affine=, or spacing_mm= and orientation=.")
    distances = _numbers(spacing_mm, name="spacing_mm")
    axes = [_LETTERS.get(letter, (-1, 0)) for letter in orientation.upper()]
    if distances.shape != (3,) or {axis for axis, _ in axes} != {0, 1, 2} or len(axes) != 3:
        raise GeometryError(f"spacing_mm {spacing_mm}, orientation {orientation!r}: give three each, such as 'LPS'.")
    if not (np.isfinite(distances) & (distances > 0)).all():
        raise GeometryError(f"spacing_mm {spacing_mm}: must be positive; orientation= gives the directions.")
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
