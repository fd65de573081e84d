import numpy as np
import pytest
from small_sets import OBLIQUE, SHAPE, voxels

from pancascade.data.store.grids import empty_on, grid_of, put_back
from pancascade.data.store.manifest import PreparedCase, SliceCounts
from pancascade.errors import DataError
from pancascade.imaging.volume import Volume, reorient, resample_to_spacing

SCAN = Volume(np.zeros(SHAPE, np.int16), OBLIQUE)


def prepared(grid, scan_grid):
    return PreparedCase(
        name="a",
        patient="a",
        source="set",
        slices=(),
        grid=grid,
        scan_grid=scan_grid,
        pancreas_ml=None,
        tumour_ml=None,
        found=SliceCounts(),
        source_files=(),
        files=(),
    )


def test_a_grid_keeps_the_place_of_every_voxel():
    again = empty_on(grid_of(SCAN))
    assert again.shape == SHAPE
    assert np.array_equal(again.affine, SCAN.affine)


def test_labels_turned_for_the_store_go_back_exactly():
    _, labels = voxels(1, tumour=True)
    stored = reorient(SCAN.with_voxels(labels), "LPS")
    back = put_back(stored, prepared(grid_of(stored), grid_of(SCAN)))
    assert np.array_equal(back.voxels, labels)
    assert np.array_equal(back.affine, SCAN.affine)


def test_resampled_labels_go_back_by_the_nearest_voxel():
    _, labels = voxels(1, tumour=True)
    stored = resample_to_spacing(reorient(SCAN.with_voxels(labels), "LPS"), (0.35, 0.35, 1.25), order=0)
    back = put_back(stored, prepared(grid_of(stored), grid_of(SCAN)))
    assert back.shape == SHAPE
    assert np.mean(back.voxels == labels) > 0.98
    assert set(np.unique(back.voxels)) == {0, 1, 2}


def test_single_slices_have_no_scan_to_go_back_to():
    with pytest.raises(DataError, match="a: made from single slices"):
        put_back(SCAN, prepared(None, None))
