"""Resampling of a volume to another grid: nearest (order 0) for label maps, linear (order 1) for scans."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pancascade.imaging.volume.volume import Volume

# A point half a voxel beyond the last centre lies on the outer voxel edge; the rest is for rounding.
_EDGE_VOX = 0.5 + 1e-5


def resample_to_spacing(volume: Volume, spacing_mm: float | Sequence[float], *, order: Literal[0, 1] = 1) -> Volume:
    """Resample a volume to another voxel spacing with the same field of view.

    The outer edge of voxel (0, 0, 0) stays in place. The far edges move by up to half a new voxel, as the number of
    voxels is whole. Values are not smoothed before sampling on a coarser grid.

    Args:
        volume: (I, J, K), any orientation.
        spacing_mm: New spacing in mm, one for all axes or one per axis.
        order: 0 takes the nearest voxel, 1 interpolates linearly.

    Returns:
        round(extent / spacing) voxels along each axis, at least 1. float32 for order 1, else the volume's dtype.

    Raises:
        ValueError: spacing_mm is not above 0, or order is neither 0 nor 1.
    """
    wanted = np.broadcast_to(np.asarray(spacing_mm, dtype=np.float64), 3)
    if not (np.isfinite(wanted).all() and (wanted > 0).all()):
        raise ValueError(f"spacing_mm must be above 0 along each axis, got {spacing_mm}")
    step_vox = wanted / volume.spacing_mm
    shape = np.maximum(1, np.floor(volume.shape / step_vox + 0.5)).astype(int)
    first_vox = (step_vox - 1) / 2
    affine = volume.affine.copy()
    affine[:3, :3] *= step_vox
    affine[:3, 3] += volume.affine[:3, :3] @ first_vox
    voxels = _sample(volume.voxels, step_vox, first_vox, shape=tuple(shape.tolist()), order=order)
    return Volume(voxels, affine, volume.source)


def resample_onto(volume: Volume, grid: Volume, *, order: Literal[0, 1] = 1, fill: float = 0.0) -> Volume:
    """Resample a volume at the voxel centres of another grid, through both affines.

    Inside means inside the outer voxel edges of `volume`, as in ITK; the last half voxel gets the value of the
    nearest voxel centre.

    Args:
        volume: (I, J, K), any orientation.
        grid: Gives shape, affine and source; its voxels are not read.
        order: 0 takes the nearest voxel, 1 interpolates linearly.
        fill: Value outside `volume`, e.g. -1024 HU for a scan.

    Returns:
        A volume on the grid of `grid`. float32 for order 1, else the dtype of `volume`.

    Raises:
        ValueError: order is neither 0 nor 1.
    """
    mapping = np.linalg.solve(volume.affine, grid.affine).astype(np.float64, copy=False)
    # Rounding noise in a pure shift would change nearest-neighbour ties and prevent the fast path below.
    whole = np.rint(mapping)
    mapping = np.where(np.abs(mapping - whole) < 1e-7, whole, mapping)
    matrix, offset = mapping[:3, :3], mapping[:3, 3]
    steps = np.diag(matrix)
    step_vox = steps if np.array_equal(matrix, np.diag(steps)) else matrix
    voxels = _sample(volume.voxels, step_vox, offset, shape=grid.shape, order=order)
    _fill_outside(voxels, matrix, offset, source_shape=volume.shape, fill=fill)
    return grid.with_voxels(voxels)


def _sample(
    array: npt.NDArray[Any],
    step_vox: npt.NDArray[np.float64],
    offset_vox: npt.NDArray[np.float64],
    *,
    shape: tuple[int, ...],
    order: Literal[0, 1],
) -> npt.NDArray[Any]:
    """Return source values at `step_vox @ index + offset_vox`; beyond the edge, the value at the edge."""
    if order not in (0, 1):
        raise ValueError(f"order must be 0 (nearest) or 1 (linear), got {order}")
    if array.flags.f_contiguous and not array.flags.c_contiguous:
        # NIfTI's memory order. SciPy walks the output in C order, which takes 3 times as long against the memory order.
        back_to_front = tuple(reversed(shape))
        return _sample(array.T, np.flip(step_vox), np.flip(offset_vox), shape=back_to_front, order=order).T
    # SciPy does not support half precision.
    source = array.astype(np.float32) if array.dtype == np.float16 else array
    sampled: npt.NDArray[Any] = ndimage.affine_transform(
        source,
        step_vox,
        offset_vox,
        output_shape=shape,
        output=np.dtype(np.float32) if order == 1 else source.dtype,
        order=order,
        mode="nearest",
        prefilter=False,
    )
    return sampled if order == 1 else sampled.astype(array.dtype, copy=False)


def _fill_outside(
    voxels: npt.NDArray[Any],
    matrix: npt.NDArray[np.float64],
    offset_vox: npt.NDArray[np.float64],
    *,
    source_shape: tuple[int, int, int],
    fill: float,
) -> None:
    """Overwrite, in place and one plane at a time, the voxels whose centre lies outside the source."""
    _, columns, slices = voxels.shape
    column, third = np.arange(columns)[:, None], np.arange(slices)[None, :]
    # Source coordinates are sums over the three axes, so one plane at a time needs no full grid in memory.
    in_plane = [matrix[axis, 1] * column + matrix[axis, 2] * third + offset_vox[axis] for axis in range(3)]
    for axis, size in enumerate(source_shape):
        lowest, highest = float(in_plane[axis].min()), float(in_plane[axis].max())
        for row, plane in enumerate(voxels):
            start = matrix[axis, 0] * row
            if lowest + start >= -_EDGE_VOX and highest + start <= size - 1 + _EDGE_VOX:
                continue
            coordinate = in_plane[axis] + start
            plane[(coordinate < -_EDGE_VOX) | (coordinate > size - 1 + _EDGE_VOX)] = fill
