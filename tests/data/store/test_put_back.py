import numpy as np
from small_sets import OBLIQUE, SHAPE

from pancascade.data.store.grids import empty_on, grid_of
from pancascade.imaging.volume import Volume

SCAN = Volume(np.zeros(SHAPE, np.int16), OBLIQUE)


def test_a_grid_keeps_the_place_of_every_voxel():
    again = empty_on(grid_of(SCAN))
    assert again.shape == SHAPE
    assert np.array_equal(again.affine, SCAN.affine)
