"""From the grid of a store to the grid of the scan it was made from."""

from typing import Literal

import numpy as np

from pancascade.data.store.manifest import Grid, PreparedCase
from pancascade.errors import DataError, GeometryError
from pancascade.imaging.volume import Volume, resample_onto, restore

_AIR_HU = -1024.0


def grid_of(volume: Volume) -> Grid:
    """The grid of a volume, without its voxels."""
    rows = [tuple(map(float, row)) for row in volume.affine]
    return Grid.model_validate(
        {
            "shape": volume.shape,
            "affine": rows,
            "orientation": volume.orientation,
            "spacing_mm": volume.spacing_mm,
        }
    )


def empty_on(grid: Grid) -> Volume:
    """A volume of zeros on a grid, that takes no memory."""
    return Volume(np.broadcast_to(np.uint8(0), grid.shape), np.array(grid.affine))


def put_back(volume: Volume, case: PreparedCase, *, order: Literal[0, 1] = 0) -> Volume:
    """A volume of the store, or a mask predicted on it, on the grid of the scan.

    Turned back exactly where the voxels are the scan's own; otherwise resampled.

    Args:
        volume: On the grid of the case in the store.
        case: The case.
        order: Where it is resampled: 0 takes the nearest voxel, for labels; 1 interpolates, for Hounsfield units.

    Raises:
        DataError: The case was made from single slices.
    """
    if case.scan_grid is None:
        raise DataError(f"{case.name}: made from single slices, there is no scan to put it back on.")
    like = empty_on(case.scan_grid)
    try:
        return restore(volume, like)
    except GeometryError:
        return resample_onto(volume, like, order=order, fill=_AIR_HU if order == 1 else 0.0)
