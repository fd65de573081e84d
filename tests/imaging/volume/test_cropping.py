import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from volume_grids import GRIDS, millimetres

from pancascade.errors import GeometryError
from pancascade.imaging.volume import Box, Volume, crop, paste


@st.composite
def boxes_inside(draw, shape):
    pairs = [draw(st.lists(st.integers(0, size), min_size=2, max_size=2, unique=True)) for size in shape]
    return Box(tuple(map(min, pairs)), tuple(map(max, pairs)))


@given(boxes_inside((6, 7, 5)))
def test_crop_then_paste_gives_back_the_scan(box):
    voxels = np.arange(210).reshape(6, 7, 5)
    patch = crop(Volume(voxels, np.eye(4)), box).voxels.copy()
    emptied = voxels.copy()
    emptied[box.slices] = -1
    paste(patch, box, onto=emptied)
    assert np.array_equal(emptied, voxels)


@given(boxes_inside((6, 7, 5)), st.sampled_from(sorted(GRIDS)))
def test_crop_moves_no_voxel_in_the_patient(box, grid):
    scan = Volume(np.arange(210).reshape(6, 7, 5), GRIDS[grid])
    part = crop(scan, box)
    assert part.shape == box.shape
    assert part.spacing_mm == scan.spacing_mm
    for value in (part.voxels.flat[0], part.voxels.flat[-1]):
        assert millimetres(part, value) == pytest.approx(millimetres(scan, value), abs=1e-9)


def test_crop_is_a_view(scan):
    assert np.shares_memory(crop(scan, Box((1, 1, 1), (3, 3, 3))).voxels, scan.voxels)


@pytest.mark.parametrize(
    "box",
    [Box((-1, 0, 0), (3, 3, 3)), Box((0, 0, 0), (7, 3, 3)), Box((2, 2, 2), (2, 3, 3)), Box((0, 0), (2, 2))],
)
def test_a_box_that_is_empty_or_reaches_outside_is_refused(scan, box):
    with pytest.raises(GeometryError, match=r"volume: the box from .* Clip"):
        crop(scan, box)
    with pytest.raises(GeometryError, match="Clip"):
        paste(np.zeros(box.shape), box, onto=np.zeros(scan.shape))


def test_paste_works_on_slices_too():
    picture = np.zeros((4, 4), dtype=np.uint8)
    paste(np.ones((2, 1), dtype=np.uint8), Box((1, 2), (3, 3)), onto=picture)
    assert np.argwhere(picture).tolist() == [[1, 2], [2, 2]]


def test_paste_refuses_a_patch_of_another_shape_instead_of_broadcasting():
    with pytest.raises(GeometryError, match=r"patch has shape \(1, 1\), its box \(2, 2\)"):
        paste(np.ones((1, 1)), Box((0, 0), (2, 2)), onto=np.zeros((4, 4)))


def test_paste_refuses_to_cut_probabilities_down_to_labels():
    with pytest.raises(TypeError, match="same_kind"):
        paste(np.full((2, 2), 0.7), Box((0, 0), (2, 2)), onto=np.zeros((4, 4), dtype=np.uint8))
