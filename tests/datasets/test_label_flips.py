import numpy as np
import pytest

from pancascade.datasets.label_flips import ALL_FLIPS, AS_IT_IS, best_flips, contrast, contrast_of_flips, turned


@pytest.fixture
def abdomen():
    """Fat of −100 HU with muscle at one side and a lopsided organ of 90 HU, under noise."""
    random = np.random.default_rng(0)
    organ = np.zeros((40, 36, 30), bool)
    organ[6:20, 8:14, 4:12] = True
    organ[6:12, 8:22, 4:9] = True
    hu = np.where(organ, 90, -100)
    hu[25:] = 50
    return (hu + random.normal(0, 15, hu.shape)).astype(np.int16), organ


def test_contrast_is_inside_less_the_two_voxels_around():
    hu = np.zeros((12, 12, 12), np.int16)
    mask = np.zeros(hu.shape, bool)
    mask[5:8, 5:8, 5:8] = True
    hu[mask] = 80
    assert contrast(hu, mask) == 80
    hu[4:9, 4:9, 4:9] += 40
    hu[mask] -= 40
    assert 40 < contrast(hu, mask) < 80
    assert contrast(hu + 900, mask) == 0  # both beyond the window


def test_an_empty_mask_or_one_without_surround_has_none():
    hu = np.zeros((4, 4, 4), np.int16)
    assert np.isnan(contrast(hu, np.zeros(hu.shape, bool)))
    assert np.isnan(contrast(hu, np.ones(hu.shape, bool)))
    assert best_flips(hu, np.zeros(hu.shape, bool)) == AS_IT_IS


@pytest.mark.parametrize("flips", ALL_FLIPS)
def test_a_mask_turned_round_is_turned_back(abdomen, flips):
    hu, organ = abdomen
    given = turned(organ, flips)
    assert best_flips(hu, given) == flips
    assert np.array_equal(turned(given, best_flips(hu, given)), organ)


def test_the_right_way_round_stands_out(abdomen):
    found = contrast_of_flips(*abdomen)
    right = found.pop(AS_IT_IS)
    assert right > 150
    assert max(found.values()) < 0.72 * right
