"""Between which heights the pancreas is looked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torso_phantom import LUNG_BASE_MM, NECK_MM, PELVIS_MM, TOP_MM, between, flipped, torso

from pancascade.imaging.preprocessing.search_range import ABOVE_LUNG_BASE_MM, BELOW_LUNG_BASE_MM, search_range
from pancascade.imaging.volume import Box, Volume

BODY = torso()
INSIDE = ((20, 30), (70, 60))
"""Columns and rows of a box that is no whole slice."""


def box_of(scan: Volume, first: int = 0, last: int | None = None) -> Box:
    (i, j), (i_end, j_end) = INSIDE
    return Box((i, j, first), (i_end, j_end, last or scan.shape[2]))


def heights_mm(found: Box, *, from_mm: float = 0) -> tuple[float, float]:
    return from_mm + 5.0 * found.start[2], from_mm + 5.0 * found.stop[2]


def test_a_whole_torso_is_searched_around_the_base_of_its_lungs():
    found = search_range(BODY, box_of(BODY))
    assert (found.start[:2], found.stop[:2]) == INSIDE
    low, high = heights_mm(found)
    assert low == pytest.approx(LUNG_BASE_MM - BELOW_LUNG_BASE_MM, abs=10)
    assert high == pytest.approx(LUNG_BASE_MM + ABOVE_LUNG_BASE_MM, abs=10)


@pytest.mark.parametrize("start_mm", [0, 100, 200, 300])
def test_the_heights_are_those_of_the_body_wherever_the_scan_begins(start_mm):
    scan = between(BODY, start_mm, TOP_MM)
    low, high = heights_mm(search_range(scan, box_of(scan)), from_mm=start_mm)
    assert low == pytest.approx(max(start_mm, LUNG_BASE_MM - BELOW_LUNG_BASE_MM), abs=10)
    assert high == pytest.approx(LUNG_BASE_MM + ABOVE_LUNG_BASE_MM, abs=10)


def test_an_upper_abdomen_is_searched_whole():
    scan = between(BODY, LUNG_BASE_MM - 200, LUNG_BASE_MM + 30)
    assert search_range(scan, box_of(scan)) == box_of(scan)


@pytest.mark.parametrize(("low_mm", "high_mm"), [(0, LUNG_BASE_MM - 20), (0, PELVIS_MM), (NECK_MM, TOP_MM)])
def test_without_lungs_the_box_stays_as_it_is(low_mm, high_mm):
    scan = between(BODY, low_mm, high_mm)
    assert search_range(scan, box_of(scan)) == box_of(scan)


def test_bowel_that_looks_like_lung_in_a_few_slices_is_not_its_base():
    voxels = BODY.voxels.copy()
    bowel = slice(int((PELVIS_MM + 10) / 5), int((PELVIS_MM + 40) / 5))
    voxels[25:65, 35:50, bowel] = -800
    found = search_range(BODY.with_voxels(voxels), box_of(BODY))
    assert found == search_range(BODY, box_of(BODY))


def test_a_scan_that_is_upside_down_is_searched_whole():
    """Its lungs would seem to begin at the lowest slice, and the pancreas lie above all that is searched."""
    scan = flipped(between(BODY, 200, NECK_MM - 60), 2)
    assert search_range(scan, box_of(scan)) == box_of(scan)


def test_a_region_cut_from_a_scan_stays_as_it_is():
    """It shows lung, but not the body from skin to skin."""
    region = Volume(BODY.voxels[35:60, 35:55], BODY.affine)
    whole = Box.whole(region.shape)
    assert search_range(region, whole) == whole


def test_a_box_that_lies_beyond_the_heights_is_not_emptied():
    chest = box_of(BODY, first=int((LUNG_BASE_MM + 100) / 5), last=int(NECK_MM / 5))
    assert search_range(BODY, chest) == chest
    legs = box_of(BODY, first=0, last=10)
    assert search_range(BODY, legs) == legs


def test_the_number_of_slices_follows_the_spacing():
    thick = Volume(np.ascontiguousarray(BODY.voxels[:, :, ::2]), BODY.affine @ np.diag((1, 1, 2, 1)))
    found = search_range(thick, Box.whole(thick.shape))
    assert 10.0 * (found.stop[2] - found.start[2]) == pytest.approx(ABOVE_LUNG_BASE_MM + BELOW_LUNG_BASE_MM, abs=25)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 159), st.integers(1, 160), st.integers(0, 150), st.integers(1, 150))
def test_whatever_is_searched_is_a_part_of_the_box_and_not_empty(cut, length, first, slices):
    scan = Volume(BODY.voxels[..., cut : cut + length], BODY.affine)
    first = min(first, scan.shape[2] - 1)
    inside = box_of(scan, first, min(first + slices, scan.shape[2]))
    found = search_range(scan, inside)
    assert inside.contains(found)
    assert min(found.shape) > 0


def test_a_scan_of_air_is_searched_whole():
    air = Volume(np.full((40, 40, 20), -1000, np.int16), BODY.affine)
    assert search_range(air, Box.whole(air.shape)) == Box.whole(air.shape)
