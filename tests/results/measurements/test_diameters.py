import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from skimage.measure import regionprops
from solids import all_ways_round, box, ellipsoid, grid, turned

from pancascade.errors import ScanError
from pancascade.imaging.volume import Volume
from pancascade.results.measurements import axial_diameters, diameter_3d_mm
from pancascade.results.measurements.diameters import body_axis

GRIDS = {
    "isotropic": ((1.0, 1.0, 1.0), None),
    "anisotropic": ((0.7, 0.7, 2.5), None),
    "oblique": ((0.8, 0.8, 1.5), turned(about_x=12, about_z=25)),
}


def blob(seed, shape=(9, 8, 7)) -> Volume:
    """A ragged blob on a sheared grid."""
    rng = np.random.default_rng(seed)
    voxels = rng.random(shape) < 0.25
    voxels[4, 4, 3] = True
    return Volume(voxels, np.array([[0.8, 0.1, 0, 5], [0, 0.9, 0.3, -2], [0, 0, 2.0, 7], [0, 0, 0, 1]]))


def face_middles_mm(lesion: Volume) -> np.ndarray:
    offsets = np.concatenate((np.eye(3), -np.eye(3))) / 2
    places = (np.argwhere(lesion.voxels)[:, None] + offsets).reshape(-1, 3)
    return places @ lesion.affine[:3, :3].T + lesion.affine[:3, 3]


def test_a_single_voxel_is_as_long_as_its_sides():
    voxels = np.zeros((3, 4, 5), bool)
    voxels[1, 2, 3] = True
    found = axial_diameters(Volume(voxels, np.diag([2.0, 1.0, 5.0, 1.0])))
    assert (found.long_mm, found.short_mm, found.slice_index) == pytest.approx((2.0, 1.0, 3))
    assert sorted(found.long_ends_mm) == [(1.0, 2.0, 15.0), (3.0, 2.0, 15.0)]
    assert sorted(found.short_ends_mm) == [(2.0, 1.5, 15.0), (2.0, 2.5, 15.0)]
    assert diameter_3d_mm(Volume(voxels, np.diag([2.0, 1.0, 5.0, 1.0]))) == pytest.approx(5.0)


def test_a_row_of_voxels_is_as_long_as_its_spacings_together():
    voxels = np.zeros((12, 3, 1), bool)
    voxels[1:11, 1, 0] = True
    found = axial_diameters(Volume(voxels, np.diag([0.7, 0.7, 3.0, 1.0])))
    assert (found.long_mm, found.short_mm) == pytest.approx((7.0, 0.7))


def test_of_equally_long_slices_the_wider_one_is_taken():
    voxels = np.zeros((9, 5, 3), bool)
    voxels[1:8, 2, :] = True
    voxels[4, 1:4, 1] = True
    found = axial_diameters(Volume(voxels, np.eye(4)))
    assert (found.long_mm, found.short_mm, found.slice_index) == pytest.approx((7, 3, 1))


@pytest.mark.parametrize("name", GRIDS)
def test_an_ellipsoid_has_its_axes(name):
    spacing, rotation = GRIDS[name]
    affine, points = grid(spacing, rotation)
    # In the slice through the middle an ellipsoid along the grid's axes shows its first two.
    directions = np.eye(3) if rotation is None else rotation
    lesion = ellipsoid(affine, points, centre_mm=(1.3, -2.1, 0.4), half_axes_mm=(20, 11, 15), directions=directions)
    found = axial_diameters(lesion)
    assert found.long_mm == pytest.approx(40, abs=1)
    assert found.short_mm == pytest.approx(22, abs=1)
    assert diameter_3d_mm(lesion) == pytest.approx(40, abs=1.5)
    middle = np.mean(found.long_ends_mm, axis=0)
    assert np.linalg.norm(middle - (1.3, -2.1, 0.4)) < 2


@pytest.mark.parametrize("name", GRIDS)
def test_a_tilted_box_has_its_diagonals(name):
    spacing, rotation = GRIDS[name]
    affine, points = grid(spacing, rotation)
    within = turned(about_z=33) if rotation is None else rotation @ turned(about_z=33)
    lesion = box(affine, points, centre_mm=(0, 0, 0), sides_mm=(30, 16, 12), directions=within)
    found = axial_diameters(lesion)
    assert found.long_mm == pytest.approx(34.0, abs=1)
    # The chord across the longer diagonal of a rectangle a x b, from corner side to corner side: b / cos(atan(b / a)).
    assert found.short_mm == pytest.approx(16 / (30 / 34), abs=1.2)
    assert diameter_3d_mm(lesion) == pytest.approx(np.sqrt(30**2 + 16**2 + 12**2), abs=1.5)


def test_digital_discs_have_the_error_that_the_docstring_names():
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(60):
        diameter, centre = rng.uniform(8, 40), rng.uniform(-0.5, 0.5, 2)
        places = np.stack(np.meshgrid(np.arange(-22, 23), np.arange(-22, 23), indexing="ij"), axis=-1)
        disc = np.linalg.norm(places - centre, axis=-1) <= diameter / 2
        errors.append(axial_diameters(Volume(disc[:, :, None], np.eye(4))).long_mm - diameter)
    assert np.mean(errors) == pytest.approx(0.75, abs=0.1)


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(6))
def test_the_long_axes_are_those_of_all_pairs(seed):
    lesion = blob(seed)
    found = axial_diameters(lesion)
    by_slice = []
    for k in np.flatnonzero(lesion.voxels.any(axis=(0, 1))):
        one = np.zeros_like(lesion.voxels)
        one[:, :, k] = lesion.voxels[:, :, k]
        points = face_middles_mm(lesion.with_voxels(one))
        normal = np.cross(lesion.affine[:3, 0], lesion.affine[:3, 1])
        height = (points - points.mean(axis=0)) @ normal
        by_slice.append(pdist(points[np.abs(height) < 1e-6]).max())
    assert found.long_mm == pytest.approx(max(by_slice))
    assert diameter_3d_mm(lesion) == pytest.approx(pdist(face_middles_mm(lesion)).max())


@pytest.mark.oracle
def test_feret_diameters_of_scikit_image_and_simpleitk_agree():
    affine, points = grid((1.0, 1.0, 1.0), half_mm=22)
    directions = turned(about_z=40, about_x=20)
    lesion = ellipsoid(affine, points, centre_mm=(0.3, 0.2, 0), half_axes_mm=(18, 9, 12), directions=directions)
    (whole,) = regionprops(lesion.voxels.astype(np.uint8))
    # scikit-image fills the voxels of the convex hull first, which may add a few.
    assert 0 <= whole.feret_diameter_max - diameter_3d_mm(lesion) < 0.3
    found = axial_diameters(lesion)
    (flat,) = regionprops(lesion.voxels[:, :, found.slice_index].astype(np.uint8))
    assert 0 <= flat.feret_diameter_max - found.long_mm < 0.3
    shape = SimpleITK.LabelShapeStatisticsImageFilter()
    shape.ComputeFeretDiameterOn()
    shape.Execute(SimpleITK.GetImageFromArray(lesion.voxels.astype(np.uint8)))
    # ITK measures between voxel centres: a voxel less, in the direction of the diameter.
    assert shape.GetFeretDiameter(1) + 0.3 < diameter_3d_mm(lesion) < shape.GetFeretDiameter(1) + 1.01


@pytest.mark.parametrize("seed", range(2))
def test_no_order_of_the_axes_changes_a_diameter(seed):
    lesion = blob(seed)
    expected = axial_diameters(lesion)
    for other in all_ways_round(lesion):
        found = axial_diameters(other)
        assert (found.long_mm, found.short_mm) == pytest.approx((expected.long_mm, expected.short_mm))
        assert diameter_3d_mm(other) == pytest.approx(diameter_3d_mm(lesion))


@given(st.integers(0, 10_000), st.floats(0.4, 3), st.floats(0.4, 5), st.floats(-40, 40))
def test_short_is_no_longer_than_long_and_long_no_longer_than_3d(seed, in_plane_mm, across_mm, tilt):
    rng = np.random.default_rng(seed)
    voxels = rng.random(tuple(rng.integers(1, 7, 3))) < 0.4
    voxels.flat[0] = True
    affine = np.eye(4)
    affine[:3, :3] = turned(about_x=tilt) @ np.diag([in_plane_mm, in_plane_mm, across_mm])
    lesion = Volume(voxels, affine)
    found = axial_diameters(lesion)
    assert 0 < found.short_mm <= found.long_mm <= diameter_3d_mm(lesion) + 1e-9


@given(st.integers(0, 10_000))
def test_both_axes_are_at_a_right_angle_and_as_long_as_their_ends_say(seed):
    lesion = blob(seed)
    found = axial_diameters(lesion)
    long, short = (np.subtract(*ends) for ends in (found.long_ends_mm, found.short_ends_mm))
    assert np.linalg.norm(long) == pytest.approx(found.long_mm)
    assert np.linalg.norm(short) == pytest.approx(found.short_mm)
    assert long @ short == pytest.approx(0, abs=1e-6)
    normal = np.cross(lesion.affine[:3, 0], lesion.affine[:3, 1])
    heights = (np.array([*found.long_ends_mm, *found.short_ends_mm]) - lesion.affine[:3, 3]) @ normal
    at = found.slice_index * (lesion.affine[:3, 2] @ normal)
    assert heights == pytest.approx(np.full(4, at))


def test_slices_run_across_the_body_however_the_scan_is_stored():
    voxels = np.zeros((6, 9, 9), bool)
    voxels[3, 1:8, 4] = voxels[:, 4, 4] = True
    # The first axis runs along the body, downwards.
    lesion = Volume(voxels, np.array([[0, 1, 0, 0], [0, 0, 1, 0], [-5, 0, 0, 0], [0, 0, 0, 1.0]]))
    assert body_axis(lesion.affine) == 0
    assert axial_diameters(lesion).long_mm == pytest.approx(7)
    assert axial_diameters(lesion).slice_index == 3


@pytest.mark.parametrize("measure", [axial_diameters, diameter_3d_mm])
def test_an_empty_lesion_is_refused(measure):
    with pytest.raises(ScanError, match="holds no voxel"):
        measure(Volume(np.zeros((2, 2, 2), bool), np.eye(4)))
