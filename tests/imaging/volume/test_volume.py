from pathlib import Path

import numpy as np
import pytest

from pancascade.errors import GeometryError
from pancascade.imaging.volume import Volume


def test_spacing_and_orientation_come_from_the_affine():
    affine = np.array([[0, -2.0, 0, 4], [0, 0, 3, 5], [-1.5, 0, 0, 6], [0, 0, 0, 1]])
    volume = Volume(np.zeros((2, 3, 4)), affine)
    assert volume.spacing_mm == (1.5, 2.0, 3.0)
    assert volume.orientation == "ILA"
    assert volume.shape == (2, 3, 4)
    assert volume.voxel_volume_ml == pytest.approx(0.009)


def test_a_sheared_voxel_has_the_volume_of_its_parallelepiped():
    sheared = np.eye(4)
    sheared[1, 2] = 0.5
    assert Volume(np.zeros((1, 1, 1)), sheared).voxel_volume_ml == pytest.approx(0.001)


def test_the_affine_cannot_be_moved_from_outside():
    affine = np.eye(4)
    volume = Volume(np.zeros((2, 2, 2)), affine)
    affine[0, 3] = 100
    assert volume.affine[0, 3] == 0
    with pytest.raises(ValueError, match="read-only"):
        volume.affine[0, 3] = 1


def damaged(row: int, column: int, value: float) -> np.ndarray:
    affine = np.eye(4)
    affine[row, column] = value
    return affine


@pytest.mark.parametrize(
    ("voxels", "affine", "message"),
    [
        (np.zeros((4, 4)), np.eye(4), r"bad\.nii.*shape \(4, 4\).*three axes"),
        (np.zeros((4, 4, 4, 2)), np.eye(4), r"bad\.nii.*shape \(4, 4, 4, 2\)"),
        (np.zeros((4, 0, 4)), np.eye(4), r"bad\.nii.*at least one voxel"),
        (np.zeros((4, 4, 4)), np.eye(3), r"bad\.nii.*4 x 4"),
        (np.zeros((4, 4, 4)), damaged(0, 3, np.nan), r"bad\.nii.*finite"),
        (np.zeros((4, 4, 4)), damaged(1, 1, np.inf), r"bad\.nii.*finite"),
        (np.zeros((4, 4, 4)), damaged(3, 0, 1), r"bad\.nii.*last row"),
        (np.zeros((4, 4, 4)), damaged(2, 2, 0), r"bad\.nii: voxel spacing is 0 along axis 2.*Re-export"),
        (np.zeros((4, 4, 4)), np.diag([1.0, 0, 1, 1]) + damaged(0, 1, 1) - np.eye(4), r"bad\.nii.*one plane"),
    ],
)
def test_an_impossible_grid_is_refused_with_the_file_and_the_reason(voxels, affine, message):
    with pytest.raises(GeometryError, match=message):
        Volume(voxels, affine, Path("bad.nii"))


def test_with_voxels_keeps_grid_and_source(scan):
    named = Volume(scan.voxels, scan.affine, Path("a.nii"))
    mask = named.with_voxels(named.voxels > 5)
    assert mask.voxels.dtype == bool
    assert mask.on_same_grid_as(named, tolerance_mm=0)
    assert mask.source == Path("a.nii")


def test_with_voxels_refuses_another_shape(scan):
    with pytest.raises(GeometryError, match=r"\(5, 7, 6\).*\(6, 7, 5\)"):
        scan.with_voxels(scan.voxels.transpose(2, 1, 0))


def test_grids_are_the_same_within_the_tolerance_at_the_far_corner():
    voxels = np.zeros((101, 2, 2))
    plain, stretched = Volume(voxels, np.eye(4)), Volume(voxels, np.diag([1.00002, 1, 1, 1]))
    assert not plain.on_same_grid_as(stretched)
    assert plain.on_same_grid_as(stretched, tolerance_mm=0.0021)
    assert not plain.on_same_grid_as(Volume(voxels[1:], np.eye(4)))
    assert not plain.on_same_grid_as(Volume(voxels, np.diag([-1.0, 1, 1, 1])))
