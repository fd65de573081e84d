import numpy as np
import pytest
from solids import all_ways_round, grid, tube, turned

from pancascade.imaging.volume import Volume
from pancascade.results.measurements import centre_line, length_mm, part_of
from pancascade.results.measurements.medial_graph import medial_graph
from pancascade.results.measurements.polyline import nearest_share, smooth

AFFINE = np.diag([0.8, 0.8, 2.5, 1.0])


def horseshoe(*, radius_mm=35.0, degrees=200.0, thick_mm=7.0, spacing=(0.9, 0.9, 2.5), rotation=None):
    """A bent tube in a coronal plane, its head on the patient's right, and its middle line."""
    angles = np.radians(np.linspace(-20, degrees - 20, 400))
    line = radius_mm * np.column_stack((np.cos(angles), 0 * angles, np.sin(angles)))
    affine, points = grid(spacing, rotation, half_mm=50)
    return tube(affine, points, line, thick_mm), line


@pytest.mark.parametrize("rotation", [None, turned(about_x=15, about_z=20)])
@pytest.mark.parametrize("thick_mm", [4.0, 9.0])
def test_the_line_of_a_bent_tube_is_as_long_as_the_tube_with_its_ends(thick_mm, rotation):
    organ, truth = horseshoe(thick_mm=thick_mm, rotation=rotation)
    line = centre_line(organ)
    assert line is not None
    assert length_mm(line) == pytest.approx(length_mm(truth) + 2 * thick_mm, rel=0.07)
    inner = line[len(line) // 8 : -len(line) // 8]
    off = np.linalg.norm(inner[:, None] - truth, axis=2).min(axis=1)
    assert off.max() < 2.5
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    assert steps == pytest.approx(np.full(len(steps), 2.0), rel=0.1)


def test_the_line_runs_from_the_patients_right_to_the_left():
    organ, truth = horseshoe()
    line = centre_line(organ)
    assert np.linalg.norm(line[0] - truth[0]) < 10
    assert np.linalg.norm(line[-1] - truth[-1]) < 10
    mirrored = Volume(organ.voxels, np.diag([-1, 1, 1, 1]) @ organ.affine)
    assert centre_line(mirrored)[0, 0] > 0


def test_of_an_lps_organ_the_lower_end_is_the_head():
    affine, points = grid((1, 1, 2), half_mm=40)
    line = centre_line(tube(affine, points, np.linspace((0, 0, -30), (0, 0, 30), 200), 6))
    assert line[0, 2] < -25 and line[-1, 2] > 25


def test_no_order_of_the_axes_moves_the_line():
    organ, _ = horseshoe(spacing=(1.5, 1.5, 3.0))
    expected = centre_line(organ)
    for other in all_ways_round(organ):
        line = centre_line(other)
        assert length_mm(line) == pytest.approx(length_mm(expected), rel=1e-3)
        assert np.linalg.norm(line[[0, -1]] - expected[[0, -1]], axis=1).max() < 0.1


def test_an_organ_broken_in_two_has_one_line_through_both():
    organ, truth = horseshoe()
    whole = centre_line(organ)
    gap = np.abs(np.argwhere(organ.voxels) @ organ.affine[0, :3] + organ.affine[0, 3]) < 6
    broken = organ.voxels.copy()
    broken[tuple(np.argwhere(organ.voxels)[gap].T)] = False
    line = centre_line(organ.with_voxels(broken))
    assert length_mm(line) == pytest.approx(length_mm(whole), rel=0.06)
    assert np.linalg.norm(line[:, None] - truth, axis=2).min(axis=1).max() < 7 + 2


def test_crumbs_and_pieces_far_away_do_not_draw_the_line():
    organ, _ = horseshoe(radius_mm=20, thick_mm=5)
    expected = length_mm(centre_line(organ))
    speckled = organ.voxels.copy()
    speckled[0, 0, 0] = speckled[-1, -1, -1] = True
    assert length_mm(centre_line(organ.with_voxels(speckled))) == pytest.approx(expected, rel=0.05)
    affine, points = grid((1, 1, 1), half_mm=60)
    near = tube(affine, points, np.linspace((-50, 0, 0), (-20, 0, 0), 100), 5)
    far = tube(affine, points, np.linspace((35, 0, 0), (55, 0, 0), 100), 5)
    line = centre_line(near.with_voxels(near.voxels | far.voxels))
    assert line[:, 0].max() < -10


def test_holes_and_ragged_borders_change_little():
    organ, truth = horseshoe(thick_mm=8)
    rng = np.random.default_rng(0)
    ragged = organ.voxels & (rng.random(organ.shape) > 0.2)
    line = centre_line(organ.with_voxels(ragged))
    assert length_mm(line) == pytest.approx(length_mm(truth) + 16, rel=0.1)


@pytest.mark.parametrize(
    "place",
    [np.s_[0:0], np.s_[3, 4, 5], np.s_[2:5, 2:5, 4], np.s_[3:5, 3:5, 2:4]],
    ids=["empty", "one voxel", "a small plate", "a few voxels"],
)
def test_what_has_no_direction_has_no_line(place):
    voxels = np.zeros((20, 20, 10), bool)
    voxels[place] = True
    assert centre_line(Volume(voxels, AFFINE)) is None


@pytest.mark.parametrize(
    "place", [np.s_[:, :, 4], np.s_[3, :, :], np.s_[:, 2, 3], np.s_[:, :, :], np.s_[::7, ::7, ::4]]
)
@pytest.mark.parametrize("spacing", [0.3, 1.0, 4.0])
def test_planes_rows_full_boxes_and_dots_do_not_crash(place, spacing):
    voxels = np.zeros((30, 30, 10), bool)
    voxels[place] = True
    line = centre_line(Volume(voxels, np.diag([spacing, spacing, spacing, 1])))
    assert line is None or (np.isfinite(line).all() and length_mm(line) > 10)


def test_thin_parts_survive_the_coarse_grid():
    voxels = np.zeros((200, 5, 5), bool)
    voxels[:, 2, 2] = True
    graph = medial_graph(Volume(voxels, np.diag([0.4, 0.4, 0.4, 1])), spacing_mm=2.0)
    line = centre_line(Volume(voxels, np.diag([0.4, 0.4, 0.4, 1])))
    assert len(graph.points_mm) >= 40
    assert length_mm(line) == pytest.approx(80, abs=4)


def test_parts_go_by_the_share_of_the_line():
    line = np.column_stack((np.linspace(100, 0, 51), np.zeros(51), np.zeros(51)))
    assert [part_of((x, 5, -3), line) for x in (130, 61, 59, 31, 29, -10)] == [
        "head", "head", "body", "body", "tail", "tail",
    ]  # fmt: skip
    assert part_of((61, 0, 0), line, head_share=0.3) == "body"
    assert part_of((61, 0, 0), line, head_share=0.2, body_share=0.1) == "tail"


@pytest.mark.parametrize("shares", [(0, 0.5), (0.5, 0), (0.5, 0.5)])
def test_shares_that_leave_a_part_nothing_are_refused(shares):
    line = np.array([[1.0, 0, 0], [0, 0, 0]])
    with pytest.raises(ValueError, match="must be above 0"):
        part_of((0, 0, 0), line, head_share=shares[0], body_share=shares[1])


def test_the_nearest_point_lies_between_points_too():
    line = np.array([[0.0, 0, 0], [10, 0, 0], [10, 10, 0]])
    assert nearest_share(np.array([4.0, -3, 1]), line) == pytest.approx(0.2)
    assert nearest_share(np.array([12.0, 5, 0]), line) == pytest.approx(0.75)


def test_smoothing_keeps_a_straight_line_and_its_ends():
    line = np.column_stack((np.arange(21.0), np.arange(21.0) % 2, np.zeros(21)))
    smoothed = smooth(line, step_mm=1.0, sigma_mm=3.0)
    assert smoothed[[0, -1]] == pytest.approx(line[[0, -1]])
    assert length_mm(smoothed) == pytest.approx(20, rel=0.02)
