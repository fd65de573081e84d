import numpy as np
import pytest
from torso_phantom import LEGS_MM, LUNG_BASE_MM, between, flipped, torso

from pancascade.imaging.preprocessing.body_profile import METAL_HU, body_profile
from pancascade.imaging.volume import Volume

ABDOMEN = between(torso(), 300, 560)


def middle(numbers: np.ndarray) -> float:
    return float(np.nanmedian(numbers))


def test_size_and_tissue_of_a_known_body():
    profile = body_profile(between(torso(), 260, 340))
    assert middle(profile.area_mm2) == pytest.approx(np.pi * 170 * 110, rel=0.05)
    assert middle(profile.width_mm) == pytest.approx(340, abs=10)
    assert middle(profile.depth_mm) == pytest.approx(220, abs=10)
    assert middle(profile.fat_share) == pytest.approx(1 - 150 * 95 / (170 * 110), abs=0.04)
    assert middle(profile.bone_share) == pytest.approx(20 * 20 / (170 * 110), abs=0.005)
    assert middle(profile.lung_share) == 0
    assert (profile.second_share == 0).all()
    assert (profile.cut_share == 0).all()


def test_lungs_are_inside_the_body_and_begin_at_their_base():
    profile = body_profile(ABDOMEN)
    heights_mm = 300 + np.arange(len(profile.lung_share)) * profile.step_mm
    assert heights_mm[np.flatnonzero(profile.lung_share)[0]] == LUNG_BASE_MM
    assert profile.lung_share[-1] == pytest.approx(2 * 55 * 70 / (170 * 110), abs=0.03)
    assert profile.area_mm2[-1] == pytest.approx(np.pi * 170 * 110, rel=0.05)


def test_spine_table_and_liver_change_sides_with_the_voxels():
    scan_lps, turned = body_profile(ABDOMEN), body_profile(flipped(ABDOMEN, 0, 1))
    assert middle(scan_lps.bone_behind_mm) == pytest.approx(80, abs=3)
    assert middle(turned.bone_behind_mm) == pytest.approx(-80, abs=5)
    assert middle(scan_lps.table_behind_mm) == pytest.approx(150, abs=3)
    assert middle(turned.table_behind_mm) == pytest.approx(-150, abs=5)
    assert middle(scan_lps.table_left_mm) == pytest.approx(0, abs=5)
    assert scan_lps.liver_right_mm2.max() > 10_000
    assert turned.liver_right_mm2.min() < -10_000


def test_legs_are_two_pieces_and_arms_lie_beside():
    profile = body_profile(between(torso(arms=True), 0, 300))
    legs = round(LEGS_MM / profile.step_mm)
    assert (profile.second_share[: legs - 1] > 0.9).all()
    assert (profile.second_share[legs + 1 :] == 0).all()
    assert (profile.arms[legs + 1 :] == 2).all()
    assert (body_profile(ABDOMEN).arms == 0).all()


def test_a_slighter_leg_belongs_to_the_body_and_a_hand_does_not():
    legs = between(torso(table=False), 0, 140).voxels.copy()
    legs[60:, :35] = -1000
    legs[2:8, 40:48] = 0
    profile = body_profile(Volume(legs, ABDOMEN.affine))
    assert (profile.second_share > 0.5).all()
    assert middle(profile.width_mm) == pytest.approx(320, abs=10)


def test_a_gap_in_a_thin_chest_wall_is_bridged():
    whole = body_profile(between(torso(), 500, 640))
    ring = between(torso(), 500, 640).voxels.copy()
    ring[12:20, 43:46] = -1000
    assert body_profile(Volume(ring, ABDOMEN.affine)).area_mm2 == pytest.approx(whole.area_mm2, rel=0.05)


@pytest.mark.parametrize("table", [True, False])
def test_without_a_table_nothing_lies_beside_the_body(table):
    assert np.isfinite(body_profile(between(torso(table=table), 300, 400)).table_behind_mm).all() == table


@pytest.mark.parametrize("half", [np.s_[:45], np.s_[45:], np.s_[:, :45], np.s_[:, 45:]])
def test_half_a_body_is_cut_off_on_one_side(half):
    profile = body_profile(Volume(ABDOMEN.voxels[half], ABDOMEN.affine))
    assert middle(profile.cut_share) > 0.85


def test_the_numbers_hardly_depend_on_the_grid():
    fine = Volume(ABDOMEN.voxels.repeat(3, 0).repeat(2, 1).repeat(4, 2), np.diag((-5 / 3, -2.5, 1.25, 1)))
    coarse, finer = body_profile(ABDOMEN), body_profile(fine)
    assert finer.step_mm == 5
    for name in ("area_mm2", "width_mm", "depth_mm"):
        assert getattr(finer, name) == pytest.approx(getattr(coarse, name), rel=0.03)
    assert finer.lung_share == pytest.approx(coarse.lung_share, abs=0.02)


def test_metal_is_counted_inside_the_body():
    voxels = ABDOMEN.voxels.copy()
    voxels[40:44, 40:44, :10] = METAL_HU + 1
    voxels[0, 0, :] = METAL_HU + 1
    found = body_profile(Volume(voxels, ABDOMEN.affine)).metal_share
    assert found == pytest.approx(160 / (np.pi * 170 * 110 * 52 / 25), rel=0.2)


def test_air_alone_has_a_profile_of_zeros():
    profile = body_profile(Volume(np.full((30, 30, 4), -1000, np.int16), np.diag((-5.0, -5.0, 5.0, 1.0))))
    assert (profile.area_mm2 == 0).all()
    assert np.isnan(profile.table_behind_mm).all()
