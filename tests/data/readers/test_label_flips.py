import numpy as np
import pytest

from pancascade.data.readers.label_flips import (
    ALL_FLIPS,
    AS_IT_IS,
    clearly_better,
    directions,
    right_way_round,
    show_turned,
    turned,
)
from pancascade.imaging.volume import Box


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


def ways_of(hu, mask):
    box = Box.around(mask)
    return {way.directions: way for way in show_turned(hu, mask[box.slices], box, orientation="LPS")}


def test_contrast_is_inside_less_the_two_voxels_around():
    hu = np.zeros((12, 12, 12), np.int16)
    mask = np.zeros(hu.shape, bool)
    mask[5:8, 5:8, 5:8] = True
    hu[mask] = 80
    assert ways_of(hu, mask)[()].contrast_hu == 80
    assert ways_of(hu, mask)[()].spread_hu == 0
    hu[4:9, 4:9, 4:9] += 40
    hu[mask] -= 40
    assert 40 < ways_of(hu, mask)[()].contrast_hu < 80
    assert ways_of(hu + 900, mask)[()].contrast_hu == 0  # both beyond the window


def test_an_empty_mask_or_one_without_surround_stays_as_it_is():
    hu = np.zeros((4, 4, 4), np.int16)
    for mask in (np.zeros(hu.shape, bool), np.ones(hu.shape, bool)):
        assert right_way_round(hu, mask, orientation="LPS") == AS_IT_IS


@pytest.mark.parametrize("flips", ALL_FLIPS)
def test_a_mask_turned_round_is_turned_back(abdomen, flips):
    hu, organ = abdomen
    given = turned(organ, flips)
    assert right_way_round(hu, given, orientation="LPS") == flips
    assert np.array_equal(turned(given, right_way_round(hu, given, orientation="LPS")), organ)


def test_the_right_way_round_stands_out(abdomen):
    found = ways_of(*abdomen)
    right = found.pop(())
    assert right.contrast_hu > 150
    assert max(way.clarity for way in found.values()) < 0.5 * right.clarity


def test_without_an_organ_that_stands_out_nothing_is_turned(abdomen):
    hu, organ = abdomen
    noise = np.random.default_rng(1).normal(30, 60, hu.shape).astype(np.int16)
    assert clearly_better(tuple(ways_of(noise, organ).values())) is None
    assert right_way_round(noise, turned(organ, (True, False, True)), orientation="LPS") == AS_IT_IS


def test_directions_are_the_patients_whatever_the_axes():
    assert (
        directions((True, False, True), "LPS")
        == directions((True, True, False), "RSA")
        == ("head and feet", "left and right")
    )
