from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from torso_phantom import LUNG_BASE_MM, TOP_MM, between, flipped, torso

from pancascade.errors import NotCTError
from pancascade.imaging.io import read_volume
from pancascade.imaging.preprocessing import check_input
from pancascade.imaging.preprocessing.body_orientation import orientation
from pancascade.imaging.preprocessing.body_profile import body_profile
from pancascade.imaging.volume import Volume, reorient
from work_done import peak_bytes

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
WHOLE = torso()
ABDOMEN = between(WHOLE, 260, 560)
ALL_FLIPS = [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]
FLIP_CODES = {0: "left_right_flipped", 1: "front_back_flipped", 2: "upside_down"}


def codes(scan: Volume) -> list[str]:
    return [notice.code for notice in check_input(scan, scan_name="scan.nii.gz")]


@pytest.mark.parametrize("heights_mm", [(260, 560), (0, TOP_MM), (150, 560), (260, TOP_MM), (360, 500)])
def test_an_lps_abdomen_passes_without_a_word(heights_mm):
    assert codes(between(WHOLE, *heights_mm)) == []


@pytest.mark.parametrize("axes", ALL_FLIPS)
def test_voxels_turned_against_the_header_are_noticed(axes):
    found = check_input(flipped(ABDOMEN, *axes), scan_name="scan.nii.gz")
    assert {notice.code for notice in found} == {FLIP_CODES[axis] for axis in axes}
    assert {(notice.severity, notice.about) for notice in found} == {("warning", "input")}
    assert all(str(notice).startswith("scan.nii.gz: ") and notice.values for notice in found)


def test_a_prone_patient_is_told_from_turned_voxels_by_the_table():
    body = between(torso(table=False), 260, 560).voxels.copy()
    body[10:80, 10] = 0
    (prone,) = check_input(Volume(body, ABDOMEN.affine), scan_name="s")
    assert (prone.code, prone.severity) == ("prone", "information")
    turned = flipped(Volume(body, ABDOMEN.affine), 1)
    (entered_wrongly,) = (notice for notice in check_input(turned, scan_name="s"))
    assert entered_wrongly.code == "front_back_flipped"
    assert "entered as supine" in str(entered_wrongly)


def test_a_patient_on_the_side_is_noticed():
    body = between(torso(table=False), 260, 560).voxels.copy()
    body[8, 10:80] = 0
    assert codes(Volume(body, ABDOMEN.affine)) == ["on_side"]


@pytest.mark.parametrize(
    ("heights_mm", "code"),
    [
        ((260, LUNG_BASE_MM), "abdomen_truncated_above"),
        ((LUNG_BASE_MM - 50, 640), "abdomen_truncated_below"),
        ((60, 300), "pelvis_only"),
    ],
)
def test_a_scan_that_ends_too_early_is_noticed(heights_mm, code):
    assert codes(between(WHOLE, *heights_mm)) == [code]


def test_a_chest_below_a_neck_is_not_upside_down():
    assert codes(between(WHOLE, LUNG_BASE_MM + 20, TOP_MM)) == ["abdomen_truncated_below"]


def test_a_thick_heart_between_little_lung_is_not_taken_for_a_liver_on_the_left():
    profile = body_profile(between(WHOLE, 260, 640))
    above = np.arange(len(profile.lung_share)) * profile.step_mm > LUNG_BASE_MM - 260 + 60
    chest = replace(
        profile,
        lung_share=np.where(above, 0.1, profile.lung_share),
        liver_right_mm2=np.where(above, -20_000, 0),
    )
    assert list(orientation(chest, scan_name="s")) == []


def test_a_short_stack_without_lung_may_be_chosen_for_the_pancreas():
    assert codes(between(WHOLE, 340, LUNG_BASE_MM)) == []


@pytest.mark.parametrize(
    ("scan", "code", "reason"),
    [
        (between(WHOLE, LUNG_BASE_MM + 20, 640), "no_abdomen", "chest"),
        (between(WHOLE, 0, 140), "no_abdomen", "legs"),
        (
            Volume(np.where(np.hypot(*np.mgrid[-45:45, -45:45])[..., None] < 6 * np.ones(30), 0, -1000), WHOLE.affine),
            "no_body",
            "27 cm²",
        ),
    ],
)
def test_what_certainly_shows_no_abdomen_is_refused(scan, code, reason):
    with pytest.raises(NotCTError, match=rf"^scan\.nii\.gz: .*{reason}.*Give a CT of the abdomen\.") as refused:
        check_input(scan, scan_name="scan.nii.gz")
    assert refused.value.code == code


def test_a_head_is_refused():
    across, behind, height = np.mgrid[-150:150:5, -150:150:5, 0:120:5]
    radius = np.hypot(across / 75, behind / 95) + 0 * height
    head = np.select([radius < 0.85, radius < 0.97, radius < 1], [35, 900, -60], default=-1000).astype(np.int16)
    with pytest.raises(NotCTError, match="head") as refused:
        check_input(Volume(head, np.diag((-5.0, -5.0, 5.0, 1.0))), scan_name="s")
    assert refused.value.code == "no_abdomen"


@pytest.mark.parametrize(
    "region",
    [np.s_[30:60, 30:60, 20:50], np.s_[:45], np.s_[45:], np.s_[:, :45], np.s_[:, 45:], np.s_[40:53, 40:53, 46:60]],
)
def test_a_region_cut_from_a_scan_is_neither_refused_nor_accused(region):
    (notice,) = check_input(Volume(ABDOMEN.voxels[region], ABDOMEN.affine), scan_name="s")
    assert (notice.code, notice.severity) == ("body_part_unknown", "information")


@pytest.mark.parametrize("slices", [1, 2, 4, 8])
def test_a_few_slices_are_not_judged(slices):
    assert (
        codes(Volume(ABDOMEN.voxels[..., 40 : 40 + slices] + np.arange(slices, dtype=np.int16), ABDOMEN.affine)) == []
    )


def test_arms_and_metal_are_information():
    with_arms = between(torso(arms=True), 260, 560)
    voxels = with_arms.voxels.copy()
    voxels[40:44, 40:44, :20] = 3071
    found = check_input(Volume(voxels, with_arms.affine), scan_name="s")
    assert [(notice.code, notice.severity) for notice in found] == [
        ("arms_down", "information"),
        ("metal", "information"),
    ]


@lru_cache(maxsize=1)
def real(name: str) -> Volume:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"the real data is not at {SHARED}")
    return reorient(read_volume(path), "LPS")


REAL_ABDOMENS = [
    "scans/example_ct.nii.gz",
    "scans/pancreatic_ct_cb_001_upper_abdomen.nii.gz",
    "nih_volumes/PANCREAS_0001_ct.nii.gz",
    "dicom/pancreatic_ct_cb_001",
]


@pytest.mark.shared
@pytest.mark.parametrize("name", [*REAL_ABDOMENS, "scans/example_ct_sm.nii.gz"])
def test_real_abdomens_pass_without_a_word(name):
    assert codes(real(name)) == []


@pytest.mark.shared
@pytest.mark.parametrize("axes", ALL_FLIPS)
@pytest.mark.parametrize("name", REAL_ABDOMENS)
def test_real_abdomens_turned_against_the_header_are_noticed(name, axes):
    assert set(codes(flipped(real(name), *axes))) == {FLIP_CODES[axis] for axis in axes}


@pytest.mark.shared
def test_a_real_pelvis_and_a_real_chest_are_told_from_an_abdomen():
    assert codes(real("scans/msd_liver_0_upper_abdomen.nii.gz")) == ["pelvis_only"]
    body = real("dicom/pancreatic_ct_cb_001")
    with pytest.raises(NotCTError, match="chest"):
        check_input(Volume(body.voxels[..., -26:], body.affine), scan_name="s")


@pytest.mark.shared
def test_real_regions_around_a_pancreas_pass_and_slices_doubled_in_them_are_found():
    if not SHARED.is_dir():
        pytest.skip(f"the real data is not at {SHARED}")
    found = {
        path.name[:6]: codes(real(f"pdac_roi/{path.name}"))
        for path in sorted((SHARED / "pdac_roi").glob("*_ct.nii.gz"))
    }
    assert len(found) == 63
    doubled = {case for case, said in found.items() if said != ["body_part_unknown"]}
    assert doubled == {"101391", "101392", "102053"}
    assert {code for case in doubled for code in found[case]} == {"repeated_slices", "body_part_unknown"}


@pytest.mark.shared
def test_a_full_size_scan_is_judged_on_a_small_part_of_its_voxels():
    scan = real("nih_volumes/PANCREAS_0001_ct.nii.gz")
    assert peak_bytes(lambda: check_input(scan, scan_name="s")) < scan.voxels.nbytes / 8


def test_four_times_the_voxels_take_no_more_memory_to_judge():
    """What is looked at lies on a grid in mm; nothing grows with the voxels but the slices' own sampling."""
    fine = Volume(np.repeat(np.repeat(ABDOMEN.voxels, 2, 0), 2, 1), ABDOMEN.affine @ np.diag([0.5, 0.5, 1, 1]))
    coarse_bytes, fine_bytes = (peak_bytes(lambda s=s: check_input(s, scan_name="s")) for s in (ABDOMEN, fine))
    assert fine_bytes < 1.5 * coarse_bytes
