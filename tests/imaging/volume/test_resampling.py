import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given, settings
from hypothesis import strategies as st
from volume_grids import GRIDS

from pancascade.imaging.volume import Box, Volume, reorient, resample_onto, resample_to_spacing


def smooth_scan(affine: np.ndarray, shape=(12, 10, 9)) -> Volume:
    noise = np.random.default_rng(1).normal(0, 100, shape)
    return Volume(noise.astype(np.float32), affine)


def to_itk(volume: Volume) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.voxels.transpose(2, 1, 0)))
    to_lps = np.diag([-1.0, -1.0, 1.0])
    image.SetSpacing(volume.spacing_mm)
    image.SetDirection((to_lps @ volume.affine[:3, :3] / volume.spacing_mm).ravel().tolist())
    image.SetOrigin((to_lps @ volume.affine[:3, 3]).tolist())
    return image


def resampled_by_itk(volume: Volume, grid: Volume, *, order: int, fill: float) -> np.ndarray:
    interpolator = sitk.sitkLinear if order == 1 else sitk.sitkNearestNeighbor
    result = sitk.Resample(to_itk(volume), to_itk(grid), sitk.Transform(), interpolator, fill)
    return sitk.GetArrayFromImage(result).transpose(2, 1, 0)


@pytest.mark.oracle
@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("spacing_mm", [0.83, (1.37, 0.61, 2.3), 3.7])
def test_resample_to_spacing_agrees_with_itk(affine, spacing_mm, order):
    scan = smooth_scan(affine)
    ours = resample_to_spacing(scan, spacing_mm, order=order)
    theirs = resampled_by_itk(scan, ours, order=order, fill=np.nan)
    inside = np.isfinite(theirs)
    assert inside.mean() > 0.4
    assert np.mean(np.abs(ours.voxels[inside] - theirs[inside]) > 1e-2) == 0


@pytest.mark.oracle
@pytest.mark.parametrize("target", sorted(GRIDS))
def test_resample_onto_agrees_with_itk_inside_and_outside(affine, target):
    inner = np.diag([0.7, 0.8, 0.9, 1.0])
    inner[:3, 3] = (2.2, 1.1, 1.7)
    scan = smooth_scan(affine)
    middle = scan.affine @ np.array([5.47, 4.53, 4.02, 1])
    turned = GRIDS[target] @ inner
    turned[:3, 3] += middle[:3] - (turned @ np.array([7, 6, 5, 1]))[:3]
    grid = Volume(np.zeros((14, 12, 10)), turned)
    ours = resample_onto(scan, grid, fill=-1024)
    theirs = resampled_by_itk(scan, grid, order=1, fill=-1024)
    assert (theirs != -1024).sum() > 50
    assert np.allclose(ours.voxels, theirs, rtol=0, atol=1e-2)


def test_the_edge_of_the_first_voxel_stays_and_the_extent_is_kept(scan):
    fine = resample_to_spacing(scan, 0.5)
    corner = np.array([-0.5, -0.5, -0.5, 1])
    assert fine.affine @ corner == pytest.approx(scan.affine @ corner)
    assert fine.spacing_mm == pytest.approx((0.5, 0.5, 0.5))
    extent = np.multiply(scan.shape, scan.spacing_mm)
    assert np.abs(np.multiply(fine.shape, 0.5) - extent).max() <= 0.25 + 1e-9


def test_resampling_to_the_same_spacing_changes_nothing(scan):
    same = resample_to_spacing(scan, scan.spacing_mm)
    assert same.on_same_grid_as(scan, tolerance_mm=1e-9)
    assert np.array_equal(same.voxels, scan.voxels)


def test_halving_the_spacing_repeats_every_voxel_for_order_0():
    labels = Volume(np.arange(8, dtype=np.uint8).reshape(2, 2, 2), np.eye(4))
    fine = resample_to_spacing(labels, 0.5, order=0)
    assert fine.voxels.dtype == np.uint8
    assert np.array_equal(fine.voxels, labels.voxels.repeat(2, 0).repeat(2, 1).repeat(2, 2))


def test_a_spacing_beyond_the_extent_leaves_one_voxel(scan):
    assert resample_to_spacing(scan, 1000.0).shape == (1, 1, 1)


@settings(max_examples=40)
@given(st.tuples(*[st.floats(0.4, 6)] * 3), st.sampled_from(sorted(GRIDS)))
def test_a_linear_ramp_stays_the_same_ramp_in_the_patient(spacing_mm, grid):
    index = np.moveaxis(np.indices((8, 9, 7)), 0, -1)
    slope = np.array([3.0, -2.0, 5.0])
    affine = GRIDS[grid]
    scan = Volume((index @ affine[:3, :3].T + affine[:3, 3]) @ slope, affine)
    ours = resample_to_spacing(scan, spacing_mm)
    place = np.moveaxis(np.indices(ours.shape), 0, -1) @ ours.affine[:3, :3].T + ours.affine[:3, 3]
    back = (place - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
    between_centres = ((back >= 0) & (back <= np.array(scan.shape) - 1)).all(axis=-1)
    assert np.allclose(ours.voxels[between_centres], (place @ slope)[between_centres], rtol=1e-5, atol=1e-2)


def test_a_mask_comes_back_onto_its_own_grid_unchanged(scan):
    mask = reorient(scan.with_voxels(scan.voxels % 3 == 0))
    back = resample_onto(mask, scan, order=0)
    assert back.voxels.dtype == bool
    assert np.array_equal(back.voxels, scan.voxels % 3 == 0)
    assert np.array_equal(back.affine, scan.affine)


def test_outside_the_outer_voxel_edges_is_fill_and_the_last_half_voxel_is_not():
    scan = Volume(np.full((4, 4, 4), 40, dtype=np.int16), np.eye(4))
    shifted = np.eye(4)
    shifted[0, 3] = -1.4
    onto = resample_onto(scan, Volume(np.zeros((7, 4, 4)), shifted), fill=-1024)
    assert onto.voxels.dtype == np.float32
    assert onto.voxels[:, 0, 0].tolist() == [-1024, 40, 40, 40, 40, -1024, -1024]


@pytest.mark.parametrize(
    ("beyond_vox", "inside"), [(-1e-3, True), (0, True), (1e-7, True), (1e-3, False), (0.05, False)]
)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_outer_voxel_edge_is_inside_but_for_rounding_on_both_ends(axis, beyond_vox, inside):
    scan = Volume(np.full((4, 5, 6), 40, dtype=np.int16), np.eye(4))
    reach = 0.5 + beyond_vox
    for place in (-reach, scan.shape[axis] - 1 + reach):
        affine = np.eye(4)
        affine[axis, 3] = place
        shape = [2, 2, 2]
        shape[axis] = 1
        found = resample_onto(scan, Volume(np.zeros(shape), affine), fill=-1024)
        assert (found.voxels == (40 if inside else -1024)).all()


@pytest.mark.parametrize("noise", [0, 1e-9])
def test_a_shift_by_whole_voxels_mixes_no_neighbours_however_the_grid_lies(affine, noise):
    index = np.indices((6, 7, 5)).sum(axis=0)
    scan = Volume(((index % 2) * 1000).astype(np.float32), affine)
    shifted = affine @ np.array([[1, 0, 0, 2], [0, 1, 0, 1], [0, 0, 1, 1], [0, 0, 0, 1.0]])
    shifted[:3, :3] *= 1 + noise
    found = resample_onto(scan, Volume(np.zeros((3, 4, 3)), shifted))
    assert np.array_equal(found.voxels, scan.voxels[2:5, 1:5, 1:4])


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.int64, np.float16, np.float64, ">i2"])
def test_order_0_keeps_every_dtype_and_order_1_gives_float32(dtype):
    volume = Volume(np.ones((3, 3, 3), dtype=dtype), np.eye(4))
    assert resample_to_spacing(volume, 0.7, order=0).voxels.dtype == np.dtype(dtype)
    assert resample_to_spacing(volume, 0.7).voxels.dtype == np.float32
    assert (resample_onto(volume, volume, order=0).voxels == 1).all()


def test_nonsense_is_refused(scan):
    for spacing_mm in (0, -1, float("nan"), (1, 1, 0)):
        with pytest.raises(ValueError, match="above 0"):
            resample_to_spacing(scan, spacing_mm)
    with pytest.raises(ValueError, match="order must be 0"):
        resample_onto(scan, scan, order=3)


def test_a_box_found_on_a_coarse_copy_covers_the_same_place():
    scan = Volume(np.zeros((20, 20, 20), dtype=np.uint8), GRIDS["oblique"])
    scan.voxels[4:12, 4:12, 4:12] = 1
    coarse = resample_to_spacing(scan, np.multiply(scan.spacing_mm, 2).tolist(), order=0)
    fine_box, coarse_box = Box.around(scan.voxels), Box.around(coarse.voxels)
    assert np.allclose(fine_box.corners_mm(scan.affine), coarse_box.corners_mm(coarse.affine))


@pytest.mark.parametrize("order", [0, 1])
def test_the_memory_order_changes_no_value(affine, order):
    scan, target = smooth_scan(affine), Volume(np.zeros((5, 6, 7)), GRIDS["oblique"])
    fortran = scan.with_voxels(np.asfortranarray(scan.voxels))
    ours, theirs = (resample_to_spacing(each, (1.1, 2.0, 0.7), order=order) for each in (scan, fortran))
    assert np.allclose(ours.voxels, theirs.voxels, rtol=0, atol=1e-4)
    ours, theirs = (resample_onto(each, target, order=order, fill=-7) for each in (scan, fortran))
    assert np.allclose(ours.voxels, theirs.voxels, rtol=0, atol=1e-4)
