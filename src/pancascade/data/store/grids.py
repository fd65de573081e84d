"""Conversion between volumes and the grids in a store's index."""

import numpy as np

from pancascade.data.store.prepared_case import StoreGrid
from pancascade.imaging.volume import Volume


def grid_of(volume: Volume) -> StoreGrid:
    """Return the grid of a volume, without its voxels."""
    rows = [tuple(map(float, row)) for row in volume.affine]
    return StoreGrid.model_validate(
        {
            "shape": volume.shape,
            "affine": rows,
            "orientation": volume.orientation,
            "spacing_mm": volume.spacing_mm,
        }
    )


def empty_on(grid: StoreGrid) -> Volume:
    """Return a volume of zeros on a grid, which takes no memory."""
    return Volume(np.broadcast_to(np.uint8(0), grid.shape), np.array(grid.affine))
