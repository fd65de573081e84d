"""Copying a volume onto a grid that contains all of its planes."""

from typing import Any

import numpy as np
import numpy.typing as npt

from pancascade.imaging.volume.volume import Volume


def onto_planes(volume: Volume, grid: Volume, *, gaps: bool, tolerance_vox: float = 0.1) -> npt.NDArray[Any] | None:
    """Return the volume on a grid, 0 elsewhere, if each of its voxels coincides with a voxel of the grid.

    Args:
        volume: Axes in the order of the grid's, as `reorient` returns them.
        grid: Gives shape and affine.
        gaps: Whether planes of the grid may lie between two planes of the volume; these are then 0.
        tolerance_vox: Largest allowed difference of positions in voxels, because headers are rounded.

    Returns:
        (I, J, K) of the grid; None if a voxel lies between voxels of the grid, or a non-zero one outside it.
    """
    mapping = np.linalg.solve(grid.affine, volume.affine)
    steps, turned = np.diag(mapping)[:3], mapping[:3, :3] - np.diag(np.diag(mapping)[:3])
    last = np.array(volume.shape) - 1
    if (np.abs(turned) @ last > tolerance_vox).any() or (steps[last > 0] <= 0).any():
        return None
    # A single plane has no next one, so its step is meaningless.
    wide = [axis for axis in range(3) if last[axis] and abs(steps[axis] - 1) * last[axis] > tolerance_vox]
    if len(wide) > int(gaps):
        return None
    places = [mapping[axis, 3] + steps[axis] * np.arange(size) for axis, size in enumerate(volume.shape)]
    whole = [np.rint(place).astype(np.int64) for place in places]
    if any(np.abs(place - near).max() > tolerance_vox for place, near in zip(places, whole, strict=True)):
        return None
    inside = [(near >= 0) & (near < size) for near, size in zip(whole, grid.shape, strict=True)]
    kept = volume.voxels[np.ix_(*inside)]
    if np.count_nonzero(kept) < np.count_nonzero(volume.voxels):
        return None
    placed = np.zeros(grid.shape, volume.voxels.dtype)
    placed[np.ix_(*(near[there] for near, there in zip(whole, inside, strict=True)))] = kept
    return placed
