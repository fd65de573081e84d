import numpy as np
import pytest

from pancascade.imaging.preprocessing.slice_faults import slice_faults
from pancascade.imaging.volume import Volume


def stack(slices: int = 12) -> np.ndarray:
    return np.random.default_rng(5).integers(-200, 200, (40, 30, slices)).astype(np.int16)


def said(voxels: np.ndarray) -> list:
    return [*slice_faults(Volume(voxels, np.diag((-2.0, -2.0, 3.0, 1.0))), scan_name="scan.nii.gz")]


def test_an_ordinary_stack_has_no_faults():
    assert said(stack()) == []
    assert said(stack(1)) == []


def test_padding_at_the_ends_is_only_information():
    voxels = stack()
    voxels[..., :2] = voxels[..., -1:] = -1024
    (notice,) = said(voxels)
    assert (notice.code, notice.severity) == ("blank_slices", "information")
    assert notice.values == {"blank": 3, "blank_inside": 0, "slices": 12}


def test_a_blank_slice_among_others_is_a_warning():
    voxels = stack()
    voxels[..., 5], voxels[..., 0] = 0, -1024
    (notice,) = said(voxels)
    assert (notice.code, notice.severity, notice.values["blank_inside"]) == ("blank_slices", "warning", 1)
    assert str(notice).startswith("scan.nii.gz: 2 of 12 slices are blank, 1 of them between others")


def test_slices_that_repeat_their_neighbour_are_counted():
    voxels = stack()
    voxels[..., 4] = voxels[..., 3]
    voxels[..., 9] = voxels[..., 8]
    (notice,) = said(voxels)
    assert (notice.code, notice.severity) == ("repeated_slices", "warning")
    assert notice.values == {"repeated": 2, "slices": 12, "first": 5}


def test_a_drawn_phantom_repeats_by_nature():
    drawing = np.zeros((40, 30, 6), np.int16)
    drawing[10:20, 10:20] = 100
    assert said(drawing) == []


def test_blank_slices_do_not_count_as_repeated():
    voxels = stack()
    voxels[..., :4] = -1024
    assert [notice.code for notice in said(voxels)] == ["blank_slices"]


@pytest.mark.parametrize("value", [-1024, 0])
def test_a_stack_without_any_picture_is_left_to_others(value):
    assert said(np.full((40, 30, 5), value, np.int16)) == []
