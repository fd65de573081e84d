"""Mask and probabilities leave on exactly the grid of the scan that came in."""

import itertools

import nibabel as nib
import numpy as np
import pytest
from abdomen_phantom import (
    LPS_AXES,
    SHAPE,
    HounsfieldCascade,
    OneLook,
    abdomen,
    centred,
    dice,
    rotation,
    turned,
)

from pancascade.imaging.io import read_volume, write_volume
from pancascade.segmentation import segment

ALL_48 = [
    "".join(letters) for order in itertools.permutations(("LR", "AP", "IS")) for letters in itertools.product(*order)
]
OWN_PIXELS = {"spacing_mm": None, "size": (16, 16)}


def require_same_grid(found, scan):
    assert found.scan is scan
    assert found.mask.shape == scan.shape
    assert np.array_equal(found.mask.affine, scan.affine)
    assert found.mask.voxels.dtype == np.uint8
    assert found.probabilities.shape == (3, *scan.shape)


def require_probabilities_agree(found):
    """They sum to 1, and each labelled voxel has the probabilities that its label needs."""
    background, pancreas, tumour = found.probabilities.astype(np.float32)
    assert np.abs(background + pancreas + tumour - 1).max() < 2e-3
    labels = found.mask.voxels
    assert min(background.min(), pancreas.min(), tumour.min()) >= 0
    assert (tumour[labels == 2] >= 0.499).all()
    assert (pancreas[labels == 1] >= background[labels == 1] - 2e-3).all()
    assert (background[labels == 0] > 0.5).mean() > 0.99
    organ = pancreas + tumour
    inside = np.zeros(labels.shape, bool)
    if found.region is not None:
        inside[found.region.slices] = True
    assert not organ[~inside].any()


def require_true(found, truth):
    assert dice(found.mask.voxels > 0, truth > 0) > 0.9
    assert dice(found.mask.voxels == 2, truth == 2) > 0.9


@pytest.mark.parametrize("canvas", [OWN_PIXELS, {"spacing_mm": 4.0}, {"spacing_mm": 2.5, "size": (96, 128)}])
def test_organ_and_tumour_are_found_where_they_are(make_model, canvas):
    scan, truth = abdomen()
    found = segment(scan, model=make_model(wide_canvas=canvas))
    require_same_grid(found, scan)
    require_probabilities_agree(found)
    require_true(found, truth)


def test_without_resampling_the_mask_is_the_truth_itself(make_model):
    scan, truth = abdomen()
    found = segment(scan, model=make_model(wide_canvas=OWN_PIXELS))
    assert np.array_equal(found.mask.voxels, truth)


@pytest.mark.parametrize("close", [None, HounsfieldCascade()], ids=["one step", "two steps"])
def test_a_flipped_or_permuted_scan_gives_the_same_mask_voxel_for_voxel(make_model, close):
    scan, _ = abdomen()
    model = make_model(close=close)
    scan_lps = segment(scan, model=model)
    assert set(np.unique(scan_lps.mask.voxels)) == {0, 1, 2}
    for codes in ALL_48 if close is None else ALL_48[::5]:
        other = turned(scan, codes)
        found = segment(other, model=model)
        require_same_grid(found, other)
        assert np.array_equal(turned(found.mask, "LPS").voxels, scan_lps.mask.voxels), codes
        for channel in range(3):
            values = other.with_voxels(found.probabilities[channel].astype(np.float32))
            assert np.array_equal(turned(values, "LPS").voxels, scan_lps.probabilities[channel]), codes


ROTATIONS = {
    "about the body": rotation(2, 14),
    "gantry tilt": rotation(0, -17),
    "about all": rotation(0, 11) @ rotation(1, -8) @ rotation(2, 13),
}


@pytest.mark.parametrize("codes", ["LPS", "RAI", "SAL", "PIR"])
@pytest.mark.parametrize("turn", ROTATIONS.values(), ids=ROTATIONS.keys())
def test_an_oblique_scan_is_found_true_on_its_own_grid(make_model, turn, codes):
    scan, truth = abdomen(centred(turn @ LPS_AXES))
    model = make_model()
    scan_lps = segment(scan, model=model)
    require_true(scan_lps, truth)
    other = turned(scan, codes)
    found = segment(other, model=model)
    require_same_grid(found, other)
    require_probabilities_agree(found)
    assert np.array_equal(turned(found.mask, "LPS").voxels, scan_lps.mask.voxels)


@pytest.mark.parametrize("about", [0, 1, 2])
@pytest.mark.parametrize("degrees", [45, -45, 44.999999, 135])
def test_half_way_between_two_orientations_mask_and_probabilities_still_agree(make_model, about, degrees):
    shape = (50, 46, 44)
    scan, truth = abdomen(
        centred(rotation(about, degrees) @ LPS_AXES, spacing_mm=(5.0, 4.8, 5.2), shape=shape), shape=shape
    )
    found = segment(scan, model=make_model(wide_canvas=OWN_PIXELS))
    require_same_grid(found, scan)
    require_probabilities_agree(found)
    require_true(found, truth)


TWICE_HALF_WAY = [
    rotation(about, degrees) @ rotation(then, 45)
    for about, degrees, then in itertools.product(range(3), (45, -45, 135), range(3))
    if about != then
]


def test_half_way_twice_over_mask_and_probabilities_still_agree(make_model):
    shape = (36, 34, 32)
    model = make_model(wide_canvas=OWN_PIXELS)
    for turn in TWICE_HALF_WAY:
        scan, truth = abdomen(centred(turn @ LPS_AXES, spacing_mm=(7.0, 6.5, 7.5), shape=shape), shape=shape)
        found = segment(scan, model=model)
        require_same_grid(found, scan)
        require_probabilities_agree(found)
        require_true(found, truth)


@pytest.mark.parametrize("spacing_mm", [(5.0, 4.4, 12.0), (2.6, 5.2, 6.0), (6.0, 5.0, 3.0)])
def test_anisotropic_voxels_keep_the_shape(make_model, spacing_mm):
    shape = tuple(round(extent / step) for extent, step in zip((270, 200, 108), spacing_mm, strict=True))
    scan, truth = abdomen(centred(LPS_AXES, spacing_mm=spacing_mm, shape=shape), shape=shape)
    found = segment(scan, model=make_model())
    require_same_grid(found, scan)
    require_true(found, truth)


def test_a_closer_look_in_the_region_lands_in_its_place(make_model):
    scan, truth = abdomen(centred(rotation(2, 9) @ LPS_AXES))
    organ_only = HounsfieldCascade(tumour_hu=None)
    found = segment(
        scan, model=make_model(organ_only, HounsfieldCascade(), close_canvas={"spacing_mm": 3.0, "size": (32, 32)})
    )
    require_same_grid(found, scan)
    require_probabilities_agree(found)
    require_true(found, truth)
    steps = [f"{step}.{what}" for step in ("wide", "close") for what in ("stage_1", "stage_2", "to_scan_grid")]
    assert {"load", "read", "check", *steps, "labels"} <= found.times_s.keys()


def test_a_closer_look_that_finds_nothing_leaves_the_organ_without_a_tumour(make_model):
    scan, truth = abdomen()
    model = make_model(HounsfieldCascade(tumour_hu=None), HounsfieldCascade(organ_hu=239))
    found = segment(scan, model=model)
    require_probabilities_agree(found)
    assert dice(found.mask.voxels == 1, truth > 0) > 0.9
    assert not (found.mask.voxels == 2).any()


def test_a_closer_look_is_not_taken_where_nothing_was_found(make_model):
    scan, _ = abdomen(pancreas=False, tumour=False)
    close = HounsfieldCascade()
    found = segment(scan, model=make_model(HounsfieldCascade(organ_hu=200), close))
    assert not close.sizes
    assert not found.mask.voxels.any()


def test_no_pancreas_is_a_result_that_says_so(make_model):
    scan, _ = abdomen(pancreas=False, tumour=False)
    scan = turned(scan, "SAR")
    found = segment(scan, model=make_model(HounsfieldCascade(organ_hu=200)))
    require_same_grid(found, scan)
    assert not found.mask.voxels.any()
    assert found.region is None
    assert (found.probabilities[0] == 1).all()
    assert not found.probabilities[1:].any()
    assert any("No pancreas was found" in warning for warning in found.warnings)


def test_a_lighter_body_elsewhere_is_no_pancreas(make_model):
    """The vessel is as bright as the organ; with stage 1 asked or not it is left out."""
    scan, truth = abdomen()
    for cascade in (HounsfieldCascade(), OneLook()):
        found = segment(scan, model=make_model(cascade, wide_canvas=OWN_PIXELS))
        assert np.array_equal(found.mask.voxels, truth)


def test_a_scan_of_one_slice(make_model):
    shape = (*SHAPE[:2], 1)
    scan, truth = abdomen(centred(LPS_AXES, shape=shape), shape=shape)
    found = segment(scan, model=make_model(wide_canvas=OWN_PIXELS))
    require_same_grid(found, scan)
    assert np.array_equal(found.mask.voxels, truth)
    assert any("first or last slice" in warning for warning in found.warnings)


def test_a_file_and_the_volume_read_from_it_give_the_same(make_model, tmp_path):
    scan, _ = abdomen(centred(rotation(0, 12) @ LPS_AXES))
    write_volume(scan, tmp_path / "scan.nii.gz")
    volume = read_volume(tmp_path / "scan.nii.gz")
    before = volume.voxels.copy()
    model = make_model()
    by_path, by_volume = segment(str(tmp_path / "scan.nii.gz"), model=model), segment(volume, model=model)
    assert np.array_equal(by_path.mask.voxels, by_volume.mask.voxels)
    assert np.array_equal(volume.voxels, before)
    assert by_path.scan.source == tmp_path / "scan.nii.gz"


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, ">i2"])
def test_the_scan_s_dtype_makes_no_difference(make_model, dtype):
    scan, _ = abdomen()
    model = make_model()
    found = segment(scan.with_voxels(scan.voxels.astype(dtype)), model=model)
    assert np.array_equal(found.mask.voxels, segment(scan, model=model).mask.voxels)


def test_saved_files_lie_on_the_grid_of_the_scan_s_file(make_model, tmp_path):
    scan, _ = abdomen(centred(rotation(0, 11) @ rotation(2, 13) @ LPS_AXES))
    write_volume(turned(scan, "SRA"), tmp_path / "scan.nii.gz")
    found = segment(tmp_path / "scan.nii.gz", model=make_model())
    folder = found.save(tmp_path / "new" / "out", save_probabilities=True)
    assert folder == tmp_path / "new" / "out"
    assert {path.name for path in folder.iterdir()} == {
        "segmentation.nii.gz",
        "overview.png",
        "report.html",
        "result.json",
        "probability_pancreas.nii.gz",
        "probability_tumour.nii.gz",
    }
    given = nib.load(tmp_path / "scan.nii.gz")
    mask = nib.load(folder / "segmentation.nii.gz")
    assert mask.get_data_dtype() == np.uint8
    assert np.array_equal(np.asarray(mask.dataobj), found.mask.voxels)
    for name in ("segmentation", "probability_pancreas", "probability_tumour"):
        image = nib.load(folder / f"{name}.nii.gz")
        assert image.shape == given.shape
        assert np.array_equal(image.affine, given.affine)
    for channel, title in ((1, "pancreas"), (2, "tumour")):
        saved = nib.load(folder / f"probability_{title}.nii.gz")
        assert saved.get_data_dtype() == np.uint16
        np.testing.assert_allclose(np.asarray(saved.dataobj), found.probabilities[channel], atol=1e-6)


def test_progress_tells_each_batch_of_both_steps(make_model):
    scan, _ = abdomen()
    reported = []
    segment(scan, model=make_model(close=HounsfieldCascade()), progress=lambda *what: reported.append(what))
    assert reported[:3] == [("locate", 8, 20), ("locate", 16, 20), ("locate", 20, 20)]
    assert reported[3:6] == [("segment", 8, 20), ("segment", 16, 20), ("segment", 20, 20)]
    assert {what for what, _, _ in reported[6:]} == {"locate", "segment"}
    assert all(done <= total < 20 for _, done, total in reported[6:])
