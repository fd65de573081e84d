"""Arrays and nibabel's images as volumes."""

import nibabel as nib
import numpy as np
import pytest

from pancascade.errors import GeometryError
from pancascade.imaging.io.in_memory import as_volume
from pancascade.imaging.volume import Volume

VOXELS = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
AFFINE = np.array([[-0.7, 0, 0, 5], [0, -0.7, 0, 6], [0, 0, 2.5, 7], [0, 0, 0, 1.0]])


def test_an_array_with_its_affine_is_a_volume_of_the_same_voxels():
    found = as_volume(VOXELS, affine=AFFINE)
    assert np.shares_memory(found.voxels, VOXELS)
    assert found.affine == pytest.approx(AFFINE)


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "SPL", "air"])
def test_an_array_with_spacing_lies_as_its_orientation_says(orientation):
    found = as_volume(VOXELS, spacing_mm=(0.7, 0.8, 2.5), orientation=orientation)
    assert found.orientation == orientation.upper()
    assert found.spacing_mm == pytest.approx((0.7, 0.8, 2.5))


def test_an_image_of_nibabel_keeps_its_place_and_loses_an_axis_of_one():
    found = as_volume(nib.Nifti1Image(VOXELS[..., None], AFFINE))
    assert found.shape == VOXELS.shape
    assert found.affine == pytest.approx(AFFINE)
    assert (found.voxels == VOXELS).all()


def test_a_volume_stays_itself():
    volume = Volume(VOXELS, AFFINE)
    assert as_volume(volume) is volume


@pytest.mark.parametrize(
    ("scan", "place", "said"),
    [
        (VOXELS, {}, "no spacing of its own"),
        (VOXELS, {"affine": AFFINE, "spacing_mm": (1, 1, 1)}, "describe the same"),
        (VOXELS, {"spacing_mm": (1, 1)}, "give three each"),
        (VOXELS, {"spacing_mm": (1, 1, 1), "orientation": "RAP"}, "give three each"),
        (VOXELS, {"spacing_mm": (1, 1, 1), "orientation": "RA"}, "give three each"),
        (nib.Nifti1Image(VOXELS, AFFINE), {"affine": AFFINE}, "other scans have both"),
        ([1, 2], {}, "list: no scan"),
        (VOXELS, {"spacing_mm": (-1, 1, 1)}, "must be positive"),
        (VOXELS, {"spacing_mm": (1, float("nan"), 1)}, "must be positive"),
        (VOXELS, {"spacing_mm": ("a", 1, 1)}, "must be numbers"),
        (VOXELS, {"spacing_mm": 2}, "give three each"),
        (VOXELS, {"affine": [["a"] * 4] * 4}, "affine .*must be numbers"),
    ],
)
def test_what_is_no_scan_is_refused_in_one_sentence(scan, place, said):
    with pytest.raises(GeometryError, match=said) as refused:
        as_volume(scan, **place)
    assert len(str(refused.value)) <= 200


def test_a_volume_shows_its_grid_and_no_voxel():
    shown = repr(as_volume(VOXELS, affine=AFFINE))
    assert shown == "Volume(volume: 2 × 3 × 4 int16, 0.70 × 0.70 × 2.50 mm, LPS)"
