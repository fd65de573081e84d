import itertools

import nibabel as nib
import numpy as np
import pytest
from volume_grids import GRIDS, millimetres

from pancascade.errors import GeometryError
from pancascade.imaging.volume import Volume, crop, reorient, restore
from pancascade.imaging.volume.box import Box

ALL_CODES = [
    "".join(letters) for pairs in itertools.permutations(("RL", "AP", "SI")) for letters in itertools.product(*pairs)
]


@pytest.mark.parametrize("codes", ALL_CODES)
def test_reorient_then_restore_gives_back_the_scan_bit_for_bit(scan, codes):
    turned = reorient(scan, codes)
    back = restore(turned, scan)
    assert turned.orientation == codes
    assert np.array_equal(back.voxels, scan.voxels)
    assert np.array_equal(back.affine, scan.affine)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SPL", "AIR"])
def test_reorient_moves_no_voxel_in_the_patient(scan, codes):
    turned = reorient(scan, codes)
    for value in (0, 17, 101, 209):
        assert millimetres(turned, value) == pytest.approx(millimetres(scan, value), abs=1e-9)


@pytest.mark.oracle
def test_reorient_to_ras_is_nibabels_closest_canonical(scan):
    expected = nib.as_closest_canonical(nib.Nifti1Image(scan.voxels, scan.affine))
    turned = reorient(scan)
    assert np.array_equal(turned.voxels, np.asanyarray(expected.dataobj))
    assert np.allclose(turned.affine, expected.affine, rtol=0, atol=1e-9)


def test_reorient_shares_the_voxels_instead_of_copying(scan):
    assert np.shares_memory(reorient(scan, "SPL").voxels, scan.voxels)


def test_a_mask_made_on_the_ras_copy_lands_on_the_original_grid(scan):
    ras = reorient(scan)
    mask = restore(ras.with_voxels(ras.voxels == 42), scan)
    assert np.argwhere(mask.voxels).tolist() == np.argwhere(scan.voxels == 42).tolist()
    assert mask.source is scan.source


def test_restore_works_at_45_degrees_where_the_letters_are_a_toss_up():
    affine = np.eye(4)
    affine[:2, :2] = np.array([[1, -1], [1, 1]]) / np.sqrt(2)
    scan = Volume(np.arange(24).reshape(2, 3, 4), affine)
    for codes in ("RAS", "LPS", "PSL"):
        assert np.array_equal(restore(reorient(scan, codes), scan).voxels, scan.voxels)


def test_restore_refuses_another_grid(scan):
    part = crop(scan, Box((0, 0, 0), (3, 3, 3)))
    with pytest.raises(GeometryError, match=r"shape \(3, 3, 3\).*Resample"):
        restore(part, scan)
    moved = Volume(scan.voxels, scan.affine + np.pad([[0, 0, 0, 1.0]], ((0, 3), (0, 0))))
    with pytest.raises(GeometryError, match="no flipped or permuted copy"):
        restore(moved, scan)


def test_restore_refuses_a_turned_grid():
    voxels = np.zeros((4, 4, 4))
    with pytest.raises(GeometryError, match="Resample"):
        restore(Volume(voxels, GRIDS["oblique"]), Volume(voxels, GRIDS["plain"]))


@pytest.mark.parametrize("codes", ["", "RA", "RAA", "RLS", "XYZ", "ras", "RASS"])
def test_letters_that_name_no_three_axes_are_refused(scan, codes):
    with pytest.raises(ValueError, match="like RAS"):
        reorient(scan, codes)
