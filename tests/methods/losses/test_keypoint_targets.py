import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pancascade.methods.losses.keypoint_targets import cornernet_radius, find_keypoints, keypoint_targets, nearest_cells
from pancascade.methods.networks.roi_recalibration import box_corners, cell_to_image


def mask_of(*boxes, size=(80, 80)):
    """Mask (1, 1, H, W) of boxes (x₁, y₁, x₂, y₂)."""
    mask = torch.zeros(1, 1, *size)
    for x1, y1, x2, y2 in boxes:
        mask[..., y1:y2, x1:x2] = 1
    return mask


def cells_of(size):
    """(2, h, w): x and y of each cell."""
    y, x = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    return torch.stack((x, y)).float()


def target_boxes(targets):
    """Corners (K, 4) of the boxes that the positive cells of the first image point to."""
    points = cell_to_image(cells_of(targets.heatmap.shape[2:]).movedim(0, -1))
    return box_corners(points, targets.distances[0].movedim(0, -1))[targets.positive[0, 0]]


def test_the_printed_heatmap_with_sigma_1():
    # The middle of the box is (10, 10), cell (2, 2).
    heatmap = keypoint_targets(mask_of((8, 8, 12, 12)), sigma=1).heatmap[0, 0]
    printed = [0.135335, 0.606531, 1, 0.606531, 0.135335]
    assert heatmap[2, :5].tolist() == pytest.approx(printed, abs=1e-6)
    assert heatmap[:5, 2].tolist() == pytest.approx(printed, abs=1e-6)
    assert heatmap[1, 1].item() == pytest.approx(math.exp(-1), abs=1e-6)


def test_the_printed_heatmap_with_sigma_2_is_the_default():
    heatmap = keypoint_targets(mask_of((8, 8, 12, 12))).heatmap[0, 0]
    assert heatmap[2, :5].tolist() == pytest.approx([0.606531, 0.882497, 1, 0.882497, 0.606531], abs=1e-6)


@pytest.mark.parametrize(("sigma", "cells"), [(1, 5), (2, 21)])
def test_the_printed_numbers_of_cells_reach_a_half(sigma, cells):
    targets = keypoint_targets(mask_of((20, 20, 64, 64)), sigma=sigma)
    assert (targets.heatmap >= 0.5).sum() == cells
    assert torch.equal(targets.positive, targets.heatmap >= 0.5)


def test_of_two_centres_the_higher_gaussian_counts():
    # Middles at x = 10 and 22: cells 2 and 5 of one row.
    heatmap = keypoint_targets(mask_of((8, 8, 12, 12), (20, 8, 24, 12)), sigma=1).heatmap[0, 0]
    printed = [0.135335, 0.606531, 1, 0.606531, 0.606531, 1, 0.606531, 0.135335]
    assert heatmap[2, :8].tolist() == pytest.approx(printed, abs=1e-6)


@pytest.mark.parametrize(("x1", "x2", "centre"), [(40, 44, 10.0), (41, 46, 10.375)])
def test_centres_keep_their_place_between_cells(x1, x2, centre):
    middle = (x1 + x2) / 2
    assert cell_to_image(torch.tensor([centre])).item() == middle
    heatmap = keypoint_targets(mask_of((x1, 40, x2, 44)), sigma=1).heatmap[0, 0]
    expected = torch.exp(-((torch.arange(20) - centre) ** 2) / 2)
    assert torch.allclose(heatmap[10], expected, atol=1e-6)


def test_rounded_centres_make_exactly_one_cell_a_one():
    mask = mask_of((41, 37, 46, 58))
    between = keypoint_targets(mask).heatmap
    rounded = keypoint_targets(mask, round_centres=True).heatmap
    assert between.max() < 1
    # The middle (43.5, 47.5) lies in cell (10, 11), which spans [40, 44) × [44, 48).
    assert (rounded[0, 0] == 1).nonzero().tolist() == [[11, 10]]


def test_the_keypoint_is_the_middle_of_the_bounding_box_and_not_of_the_mass():
    corner = mask_of((8, 8, 12, 56), (8, 52, 56, 56))
    heatmap = keypoint_targets(corner, round_centres=True).heatmap[0, 0]
    assert (heatmap == 1).nonzero().tolist() == [[8, 8]]
    assert corner[..., 32, 32] == 0


def test_distances_of_every_positive_cell_lead_to_the_box():
    targets = keypoint_targets(mask_of((21, 30, 66, 53)))
    assert targets.positive.sum() > 15
    assert torch.equal(target_boxes(targets), torch.tensor([[21.0, 30, 66, 53]]).expand(int(targets.positive.sum()), 4))
    # Cell (10, 10) looks from (42, 42).
    assert targets.distances[0, :, 10, 10].tolist() == [21, 12, 24, 11]
    assert not targets.distances[(~targets.positive).expand_as(targets.distances)].any()


def test_positive_cells_lie_inside_the_half_open_box():
    # Cells look from x = 18, 22, 26, …: the box begins at one and ends at another.
    targets = keypoint_targets(mask_of((18, 0, 26, 80)))
    columns = targets.positive[0, 0].any(dim=0).nonzero().flatten().tolist()
    assert columns == [4, 5]
    assert (targets.heatmap[0, 0, :, 6] >= 0.5).any()
    assert targets.distances[0, 0, 9, 4] == 0


@pytest.mark.parametrize("size", [4, 5, 7])
@pytest.mark.parametrize("offset", range(4))
def test_a_box_as_large_as_a_cell_has_a_positive_cell(size, offset):
    for other in range(4):
        x, y = 20 + offset, 32 + other
        assert keypoint_targets(mask_of((x, y, x + size, y + 4))).positive.any()


def test_a_speck_between_cell_points_has_a_keypoint_but_no_distances():
    targets = keypoint_targets(mask_of((20, 20, 21, 21)))
    assert targets.heatmap.max() > 0.5
    assert not targets.positive.any()


def test_regions_that_touch_at_a_corner_are_one():
    targets = keypoint_targets(mask_of((20, 20, 40, 40), (40, 40, 60, 60)))
    assert {tuple(box) for box in target_boxes(targets).tolist()} == {(20, 20, 60, 60)}
    apart = keypoint_targets(mask_of((20, 20, 40, 40), (41, 40, 60, 60)))
    assert {tuple(box) for box in target_boxes(apart).tolist()} == {(20, 20, 40, 40), (41, 40, 60, 60)}


def test_where_boxes_overlap_the_nearest_centre_wins():
    # The small region lies inside the bounding box of the large one's arms.
    arms = mask_of((4, 4, 60, 8), (4, 4, 8, 60), (28, 28, 44, 44))
    targets = keypoint_targets(arms)
    cells = cells_of((20, 20))
    large, small = ((cells - centre) ** 2 for centre in (7.5, 8.5))
    nearer_small = small.sum(dim=0) < large.sum(dim=0)
    points = cell_to_image(cells.movedim(0, -1))
    found = box_corners(points, targets.distances[0].movedim(0, -1))
    positive = targets.positive[0, 0]
    assert (positive & nearer_small).any()
    assert (positive & ~nearer_small).any()
    assert {tuple(box) for box in found[positive & nearer_small].tolist()} == {(28, 28, 44, 44)}
    assert {tuple(box) for box in found[positive & ~nearer_small].tolist()} == {(4, 4, 60, 60)}


def test_a_mask_without_region_has_no_keypoint():
    targets = keypoint_targets(torch.zeros(2, 1, 16, 24))
    assert [tuple(maps.shape) for maps in targets] == [(2, 1, 4, 6), (2, 4, 4, 6), (2, 1, 4, 6)]
    assert not any(maps.any() for maps in targets)
    assert targets.positive.dtype == torch.bool


def test_images_of_a_batch_do_not_meet():
    first, second = mask_of((8, 8, 40, 30), size=(48, 64)), mask_of((30, 20, 50, 44), size=(48, 64))
    together = keypoint_targets(torch.cat((first, torch.zeros_like(first), second)))
    for maps, alone in zip(together, keypoint_targets(first), strict=True):
        assert torch.equal(maps[:1], alone)
        assert not maps[1].any()
    for maps, alone in zip(together, keypoint_targets(second), strict=True):
        assert torch.equal(maps[2:], alone)


def test_moving_the_mask_by_four_pixels_moves_every_target_by_a_cell():
    mask = mask_of((21, 30, 50, 43), (55, 22, 60, 40))
    here, there = keypoint_targets(mask), keypoint_targets(mask.roll((4, -8), dims=(2, 3)))
    for before, after in zip(here, there, strict=True):
        moved = before.roll((1, -2), dims=(2, 3))
        # Gaussians do not come round the border.
        assert torch.allclose(after[..., 1:, :-2].float(), moved[..., 1:, :-2].float(), atol=1e-6)
    boxes = target_boxes(here) + torch.tensor([-8.0, 4, -8, 4])
    assert torch.equal(target_boxes(there), boxes)


@given(st.floats(1, 200), st.floats(1, 200), st.floats(0.05, 0.95))
def test_corners_that_move_by_the_cornernet_radius_keep_the_overlap(width, height, overlap):
    def worst(r):
        shrunk, grown = max(width - 2 * r, 0) * max(height - 2 * r, 0), (width + 2 * r) * (height + 2 * r)
        common, area = max(width - r, 0) * max(height - r, 0), width * height
        return min(common / (2 * area - common), shrunk / area, area / grown)

    radius = cornernet_radius(width, height, overlap=overlap)
    assert radius > 0
    assert worst(radius) == pytest.approx(overlap, abs=1e-6)


def test_the_spread_may_follow_each_region_s_size():
    mask = mask_of((8, 8, 28, 28), (60, 40, 320, 300), size=(320, 320))
    heatmap = keypoint_targets(mask, spread="cornernet", round_centres=True, sigma=99).heatmap[0, 0]
    for (x, y), side in (((4, 4), 5), ((47, 42), 65)):
        radius = math.floor(cornernet_radius(side, side))
        sigma = (2 * radius + 1) / 6
        assert heatmap[y, x] == 1
        assert heatmap[y, x + 1].item() == pytest.approx(math.exp(-1 / (2 * sigma**2)), rel=1e-5)
    assert heatmap[42, 48] > 0.8 > heatmap[4, 5]


def printed_components():
    heatmap = torch.zeros(1, 1, 6, 8)
    heatmap[0, 0, 1:3, 1:4] = 0.7
    heatmap[0, 0, 4, 6] = 0.9
    heatmap[0, 0, 2, 6] = 0.49
    return heatmap


def test_the_printed_components_have_the_printed_centroids():
    (keypoints,) = find_keypoints(printed_components())
    assert keypoints.flip(1).tolist() == [[1.5, 2], [4, 6]]
    assert nearest_cells(keypoints).tolist() == [[2, 2], [6, 4]]
    assert nearest_cells(torch.tensor([[2.5, 3.5], [2.49, 3.51]])).tolist() == [[3, 4], [2, 4]]


def test_a_cell_at_the_threshold_is_activated_and_diagonal_cells_are_one_component():
    heatmap = torch.zeros(2, 1, 6, 8)
    heatmap[0, 0, 1, 1] = heatmap[0, 0, 2, 2] = 0.5
    first, second = find_keypoints(heatmap)
    assert first.tolist() == [[1.5, 1.5]]
    assert second.shape == (0, 2)
    assert nearest_cells(second).shape == (0, 2)
    lower = find_keypoints(printed_components(), threshold=0.4)
    assert [len(keypoints) for keypoints in lower] == [3]
    assert [len(keypoints) for keypoints in find_keypoints(printed_components(), threshold=0.8)] == [1]


@settings(max_examples=40)
@given(st.integers(6, 50), st.integers(6, 50), st.integers(12, 60), st.integers(12, 60))
def test_the_true_heatmap_and_distances_lead_back_to_the_box(width, height, x, y):
    box = (x, y, min(x + width, 100), min(y + height, 100))
    targets = keypoint_targets(mask_of(box, size=(112, 112)))
    (keypoints,) = find_keypoints(targets.heatmap)
    cells = nearest_cells(keypoints)
    assert len(cells) == 1
    ((column, row),) = cells.tolist()
    distances = targets.distances[0, :, row, column]
    assert box_corners(cell_to_image(cells), distances[None]).tolist() == [list(box)]


def test_wrong_arguments_of_the_targets_are_named():
    with pytest.raises(ValueError, match=r"divisible by 4, got \(1, 1, 10, 12\)"):
        keypoint_targets(torch.zeros(1, 1, 10, 12))
    with pytest.raises(ValueError, match=r"got \(1, 2, 12, 12\)"):
        keypoint_targets(torch.zeros(1, 2, 12, 12))
    with pytest.raises(ValueError, match="sigma must be positive, got 0"):
        keypoint_targets(torch.zeros(1, 1, 12, 12), sigma=0)
    with pytest.raises(ValueError, match=r"heatmaps \(B, 1, h, w\), got \(6, 8\)"):
        find_keypoints(torch.zeros(6, 8))


def test_a_cell_whose_heatmap_is_the_threshold_itself_is_positive():
    mask = torch.zeros(1, 1, 48, 48)
    mask[..., 8:40, 8:40] = 1
    heatmap = keypoint_targets(mask).heatmap
    positive = keypoint_targets(mask, threshold=float(heatmap[0, 0, 5, 7])).positive
    assert bool(positive[0, 0, 5, 7])
    assert not bool(positive[0, 0, 5, 8])
