"""Vessels as the command line names them."""

import numpy as np
import pytest

from pancascade.errors import GeometryError, ScanError, UnreadableError
from pancascade.imaging.io import write_volume
from pancascade.imaging.io.vessel_masks import read_vessel, read_vessels, require_grid
from pancascade.imaging.volume import Volume

AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])
LABELS = np.zeros((4, 5, 6), np.uint8)
LABELS[1, 1, 1:4], LABELS[2, 3, 2:5] = 1, 3


@pytest.fixture
def file(tmp_path):
    write_volume(Volume(LABELS, AFFINE), tmp_path / "vessels.nii.gz")
    return tmp_path / "vessels.nii.gz"


def test_everything_above_0_is_the_vessel(file):
    name, mask = read_vessel(f"aorta={file}")
    assert name == "aorta"
    assert mask.voxels.dtype == np.bool_
    assert np.array_equal(mask.voxels, LABELS > 0)
    assert mask.on_same_grid_as(Volume(LABELS, AFFINE))


def test_one_value_of_a_label_map_is_the_vessel(file):
    assert np.array_equal(read_vessel(f"splenic vein={file}:3")[1].voxels, LABELS == 3)


def test_names_lose_the_spaces_around_them(file):
    assert read_vessel(f" aorta ={file}")[0] == "aorta"


@pytest.mark.parametrize("name", ["a=b.nii.gz", "a:b.nii.gz", "a b [c].nii.gz"])
def test_a_file_may_hold_the_signs_of_the_form(file, name):
    odd = file.rename(file.with_name(name))
    assert read_vessel(f"aorta={odd}")[1].voxels.sum() == 6
    assert read_vessel(f"aorta={odd}:1")[1].voxels.sum() == 3


def test_a_path_of_windows_is_not_taken_for_a_value():
    with pytest.raises(UnreadableError, match=r"^aorta\.nii\.gz: there is no such file"):
        read_vessel(r"aorta=C:\data\aorta.nii.gz")
    with pytest.raises(UnreadableError, match=r"^aorta\.nii\.gz: there is no such file"):
        read_vessel(r"aorta=C:\data\aorta.nii.gz:3")


@pytest.mark.parametrize("given", ["", "aorta", "aorta=", "={file}", "  ={file}", "a={file}:0", "a={file}:-1"])
def test_another_form_is_refused_with_the_form(file, given):
    with pytest.raises(UnreadableError, match=r"^--vessels ") as refused:
        read_vessel(given.format(file=file))
    assert refused.value.code == "vessel_option"


@pytest.mark.parametrize("value", ["²", "1.5", "x", ""])
def test_a_value_that_is_no_whole_number_belongs_to_the_file_s_name(file, value):
    with pytest.raises(UnreadableError, match="there is no such file"):
        read_vessel(f"aorta={file}:{value}")


@pytest.mark.parametrize(("value", "says"), [(":2", "the value 2"), (f":{10**30}", f"the value {10**30}")])
def test_a_value_that_is_not_there_is_refused(file, value, says):
    with pytest.raises(
        UnreadableError, match=rf"^vessels\.nii\.gz: does not hold {says}, so there is no aorta"
    ) as refused:
        read_vessel(f"aorta={file}{value}")
    assert refused.value.code == "vessel_empty"


def test_an_empty_mask_is_refused(file):
    write_volume(Volume(LABELS * 0, AFFINE), file)
    with pytest.raises(UnreadableError, match="does not hold any voxel above 0"):
        read_vessel(f"aorta={file}")


def test_a_scan_is_no_mask(file):
    write_volume(Volume(LABELS.astype(np.int16) - 1000, AFFINE), file)
    with pytest.raises(UnreadableError, match=r"values below 0.*not a mask of aorta"):
        read_vessel(f"aorta={file}")


def test_each_name_is_given_once(file):
    assert list(read_vessels([f"a={file}:1", f"b={file}:3"])) == ["a", "b"]
    with pytest.raises(UnreadableError, match="the name a is given twice"):
        read_vessels([f"a={file}:1", f"b={file}", f"a={file}:3"])


def test_a_file_that_is_damaged_is_refused(file):
    file.write_bytes(file.read_bytes()[:30])
    with pytest.raises(ScanError, match=file.name):
        read_vessels([f"a={file}"])


def test_another_grid_is_refused(file):
    masks = read_vessels([f"a={file}"])
    require_grid(masks, scan=Volume(LABELS, AFFINE))
    with pytest.raises(GeometryError, match="mask of a is not on the grid"):
        require_grid(masks, scan=Volume(LABELS, np.diag([1.0, 1.0, 2.5, 1.0])))
    with pytest.raises(GeometryError, match="mask of a is not on the grid"):
        require_grid(masks, scan=Volume(LABELS[:, :, :5], AFFINE))
