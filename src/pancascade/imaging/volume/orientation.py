"""Reorientation of a scan to the axes that the code expects, and its exact inverse for masks."""

from dataclasses import replace
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from pancascade.errors import GeometryError
from pancascade.imaging.volume.volume import Volume

_WORLD_AXIS = {"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}


def reorient(volume: Volume, axis_codes: str = "RAS") -> Volume:
    """Flip and permute the axes to the requested order; voxels keep their positions and are not resampled.

    An oblique grid gets the closest orientation and stays oblique. The voxels are a view, not a copy.

    Args:
        volume: Any grid.
        axis_codes: Directions of the three axes, e.g. "RAS": one of R/L, A/P and S/I each.

    Returns:
        The same scan, (I, J, K) in the requested order.

    Raises:
        ValueError: axis_codes is not such a triple.
    """
    if sorted(_WORLD_AXIS.get(code, -1) for code in axis_codes) != [0, 1, 2]:
        raise ValueError(f"axis_codes must name one of R/L, A/P and S/I each, like RAS; got {axis_codes!r}")
    current = nib.io_orientation(volume.affine)
    axes: list[int] = []
    flips: list[bool] = []
    for code in axis_codes:
        axis = int(np.flatnonzero(current[:, 0] == _WORLD_AXIS[code])[0])
        axes.append(axis)
        flips.append((current[axis, 1] < 0) != (code in "LPI"))
    return _turn(volume, axes=axes, flips=flips)


def restore(volume: Volume, like: Volume, *, tolerance_mm: float = 1e-3) -> Volume:
    """Return a reoriented volume on its original grid, exactly.

    Args:
        volume: On a flipped or permuted copy of the grid of `like`, e.g. a mask predicted on the RAS copy.
        like: The scan before `reorient`.
        tolerance_mm: Largest distance between corner voxels, for grids whose headers were rounded.

    Returns:
        The values of `volume` with the shape, affine and source of `like`, bit for bit.

    Raises:
        GeometryError: the grids differ by more than flips and permutations.
    """
    # The axes themselves are compared, because letters are ambiguous at 45 degrees.
    steps = np.rint(np.linalg.solve(like.affine[:3, :3], volume.affine[:3, :3]))
    axes = [int(axis) for axis in np.abs(steps).argmax(axis=1)]
    if sorted(axes) == [0, 1, 2]:
        flips = [bool(steps[row, axis] < 0) for row, axis in enumerate(axes)]
        turned = _turn(volume, axes=axes, flips=flips)
        if turned.on_same_grid_as(like, tolerance_mm=tolerance_mm):
            return like.with_voxels(turned.voxels)
    raise GeometryError(
        f"{like.name}: a volume of shape {volume.shape} and orientation {volume.orientation} is no flipped "
        f"or permuted copy of the grid of shape {like.shape} and orientation {like.orientation}. "
        "Resample it onto the grid instead.",
        code="other_grid",
    )


def _turn(volume: Volume, *, axes: list[int], flips: list[bool]) -> Volume:
    """Return the volume whose axis n is the old axis axes[n], reversed where flips[n]."""
    backwards = tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)
    voxels: npt.NDArray[Any] = volume.voxels.transpose(axes)[backwards]
    affine = volume.affine.copy()
    affine[:3, :3] = volume.affine[:3, axes]
    for axis, flip in enumerate(flips):
        if flip:
            affine[:3, 3] += affine[:3, axis] * (voxels.shape[axis] - 1)
            affine[:3, axis] *= -1
    return replace(volume, voxels=voxels, affine=affine)
