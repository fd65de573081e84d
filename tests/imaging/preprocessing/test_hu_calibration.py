"""Values that are doubled, halved or shifted are named; scans of all kinds are not."""

from pathlib import Path

import numpy as np
import pytest
from torso_phantom import flipped, torso

from pancascade.imaging.io import read_volume
from pancascade.imaging.preprocessing import check_input
from pancascade.imaging.preprocessing.hu_calibration import hu_calibration, tissue_peaks
from pancascade.imaging.volume import Volume, reorient

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
REAL = [
    "scans/example_ct.nii.gz",
    "scans/example_ct_sm.nii.gz",
    "scans/msd_liver_0_upper_abdomen.nii.gz",
    "scans/pancreatic_ct_cb_001_upper_abdomen.nii.gz",
    "whole_cts/acrin_flt_breast_001_pelvis_to_heart.nii.gz",
    "whole_cts/cmb_crc_msb_01068_liver_dome_to_neck.nii.gz",
    "nih_volumes/PANCREAS_0001_ct.nii.gz",
    "dicom/pancreatic_ct_cb_001",
]
WRONG = {
    "look doubled": lambda hu: 2 * hu,
    "look doubled (cut off)": lambda hu: np.maximum(2 * hu, -1024),
    "look multiplied by 0.5": lambda hu: hu / 2,
    "look multiplied by 1.5": lambda hu: 1.5 * hu,
    "too high": lambda hu: hu + 100,
    "too low": lambda hu: hu - 100,
}
RIGHT = {
    "as it is": lambda hu: hu,
    "padding of -2000": lambda hu: np.where(hu < -900, -2000, hu),
    "padding of -3024": lambda hu: np.where(hu < -900, -3024, hu),
    "window of the abdomen": lambda hu: np.clip(hu, -160, 240),
    "steps of 8": lambda hu: np.round(hu / 8) * 8,
    "noise": lambda hu: hu + np.random.default_rng(1).normal(0, 30, hu.shape),
}


@pytest.fixture
def body() -> Volume:
    """A torso of fat and muscle with noise, LPS."""
    scan = torso()
    hu = np.where(scan.voxels == 0, 45, scan.voxels)
    return scan.with_voxels(hu + np.random.default_rng(0).normal(0, 15, scan.shape).astype(np.float32))


def found(scan: Volume) -> list[str]:
    return [str(notice) for notice in hu_calibration(scan, scan_name="scan.nii.gz")]


def test_the_peaks_of_a_body_are_its_air_fat_and_muscle(body):
    assert tissue_peaks(body.voxels) == pytest.approx((-1000, -100, 45), abs=8)


@pytest.mark.parametrize("name", WRONG)
def test_values_that_are_no_hu_are_named_with_what_they_look_like(body, name):
    (notice,) = hu_calibration(body.with_voxels(WRONG[name](body.voxels)), scan_name="scan.nii.gz")
    assert (notice.code, notice.severity, notice.about) == ("hu_uncalibrated", "warning", "input")
    assert name.removesuffix(" (cut off)") in notice.sentence
    assert set(notice.values) == {"air_hu", "fat_hu", "muscle_hu"}
    assert len(notice.sentence) <= 200


@pytest.mark.parametrize("name", RIGHT)
def test_hu_are_left_alone_whatever_surrounds_the_body(body, name):
    assert found(body.with_voxels(RIGHT[name](body.voxels))) == []


@pytest.mark.parametrize("values", [0, -1000, 40])
def test_a_scan_without_tissues_is_not_judged(values):
    assert found(Volume(np.full((9, 9, 9), values, np.int16), np.eye(4))) == []
    assert tissue_peaks(np.full(5, values)).muscle is None


def test_wrong_hu_are_named_in_place_of_mirrored_sides(body):
    # A mirrored body, of which the sides are told apart by its liver.
    mirrored = flipped(body, 0)
    codes = [notice.code for notice in check_input(mirrored, scan_name="scan")]
    assert "left_right_flipped" in codes
    assert "hu_uncalibrated" not in codes
    shifted = mirrored.with_voxels(mirrored.voxels + 100)
    codes = [notice.code for notice in check_input(shifted, scan_name="scan")]
    assert codes[0] == "hu_uncalibrated"
    assert "left_right_flipped" not in codes


@pytest.mark.shared
@pytest.mark.parametrize("name", REAL)
def test_real_scans_are_judged_rightly_as_they_are_and_changed(name):
    if not (SHARED / name).exists():
        pytest.skip(f"{name} is not there")
    scan = reorient(read_volume(SHARED / name), "LPS")
    few = Volume(scan.voxels[::2, ::2], scan.affine @ np.diag((2, 2, 1, 1)))
    for change in RIGHT.values():
        assert found(few.with_voxels(change(few.voxels))) == []
    hu = few.voxels.astype(np.float32)
    for says, change in WRONG.items():
        (sentence,) = found(few.with_voxels(change(hu)))
        assert says.removesuffix(" (cut off)") in sentence
