import numpy as np
import pytest

from pancascade.imaging.volume import Volume, reorient
from pancascade.results.measurements import label_sizes

# Axes of 5, 10 and 2 mm, turned by the 3-4-5 triangle about the body: all by hand.
OBLIQUE = np.array([[4.0, -6, 0, 100], [3, 8, 0, -50], [0, 0, 2, 10], [0, 0, 0, 1]])


def mask_of(labels: dict[int, tuple[slice, ...]], affine=OBLIQUE, shape=(5, 4, 6)) -> Volume:
    voxels = np.zeros(shape, np.uint8)
    for label, place in labels.items():
        voxels[place] = label
    return Volume(voxels, affine)


def test_numbers_of_an_oblique_box_by_hand():
    """x = 100 + 4i − 6j, y = −50 + 3i + 8j, z = 10 + 2k, edges i 0.5…2.5, j 1.5…2.5, k −0.5…3.5."""
    found = label_sizes(mask_of({1: np.s_[1:3, 2:3, 0:4]}))
    assert found["pancreas"] == {
        "voxels": 8,
        "volume_ml": 0.8,
        "box_mm": {"min": [87.0, -36.5, 9.0], "max": [101.0, -22.5, 17.0]},
    }
    assert found["pancreas_with_tumour"] == found["pancreas"]
    assert found["tumour"] == {"voxels": 0, "volume_ml": 0.0, "box_mm": None}


def test_the_organ_with_its_tumour_is_the_sum():
    found = label_sizes(mask_of({1: np.s_[1:3, 2:3, 0:4], 2: np.s_[2:4, 2:3, 3:5]}))
    assert [found[title]["voxels"] for title in ("pancreas", "tumour", "pancreas_with_tumour")] == [7, 4, 11]
    assert found["pancreas_with_tumour"]["volume_ml"] == pytest.approx(1.1)
    # i 0.5…3.5, k −0.5…4.5
    assert found["pancreas_with_tumour"]["box_mm"] == {"min": [87.0, -36.5, 9.0], "max": [105.0, -19.5, 19.0]}


def test_an_axis_aligned_box_runs_from_edge_to_edge():
    affine = np.diag([-2.0, -3.0, 4.0, 1.0])
    found = label_sizes(mask_of({2: np.s_[0:2, 1:2, 5:6]}, affine))
    assert found["tumour"]["box_mm"] == {"min": [-3.0, -4.5, 18.0], "max": [1.0, -1.5, 22.0]}
    assert found["tumour"]["volume_ml"] == pytest.approx(0.048)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SAL", "PIR"])
def test_turning_the_grid_changes_no_number(codes):
    mask = mask_of({1: np.s_[1:3, 0:3, 0:4], 2: np.s_[2:4, 2:3, 3:5]})
    assert label_sizes(reorient(mask, codes)) == label_sizes(mask)


def test_an_empty_mask_has_zeros_and_no_box():
    for size in label_sizes(mask_of({})).values():
        assert size == {"voxels": 0, "volume_ml": 0.0, "box_mm": None}
