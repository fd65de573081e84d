import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pancascade.metrics.lesions import (
    SIZE_CLASSES,
    find_components,
    intersections,
    iou_table,
    longest_axial_diameter_mm,
    match_by_centre,
    match_by_iou,
)

MASKS = arrays(bool, (5, 6, 4), elements=st.sampled_from([False, False, False, True]))
SPACINGS = st.tuples(*[st.sampled_from([0.5, 0.7, 1.0, 2.5])] * 3)
FLIPS = [axes for count in range(4) for axes in itertools.combinations(range(3), count)]


def masks_of(components, shape):
    """Each component as a mask of the whole scan."""
    labels = np.zeros(shape, int)
    labels[components.box.slices] = components.labels
    return [labels == number for number in range(1, components.count + 1)]


def block(shape, *boxes):
    mask = np.zeros(shape, bool)
    for box in boxes:
        mask[tuple(slice(*side) for side in box)] = True
    return mask


def row(*ranges, length=40):
    """Bars along axis 1 of a flat scan, each its own component."""
    return block((1, length, 1), *[((0, 1), r, (0, 1)) for r in ranges])


def longest_by_brute_force(mask, spacing_mm):
    longest = 0.0
    for k in range(mask.shape[2]):
        corners = {(i + a, j + b) for i, j in np.argwhere(mask[:, :, k]) for a in (0, 1) for b in (0, 1)}
        for (i, j), (m, n) in itertools.combinations(corners, 2):
            longest = max(longest, math.hypot((i - m) * spacing_mm[0], (j - n) * spacing_mm[1]))
    return longest


def test_voxels_that_touch_by_a_corner_are_one_lesion():
    mask = np.zeros((9, 9, 9), bool)
    mask[2, 2, 2] = mask[3, 3, 3] = mask[6, 6, 6] = mask[6, 7, 6] = True
    components = find_components(mask)
    assert components.count == 2
    assert sorted(components.voxels.tolist()) == [2, 2]
    assert components.box.start == (2, 2, 2)
    assert components.box.stop == (7, 8, 7)


def test_an_empty_mask_has_no_lesion():
    components = find_components(np.zeros((4, 4, 4), bool))
    assert components.count == 0
    assert components.diameters_mm((1, 1, 1)).shape == components.volumes_ml((1, 1, 1)).shape == (0,)
    assert components.largest(np.zeros((4, 4, 4))).shape == (0,)
    assert iou_table(components, find_components(np.ones((4, 4, 4)))).shape == (0, 1)
    assert iou_table(find_components(np.ones((4, 4, 4))), components).shape == (1, 0)


def test_components_of_a_slice_touch_by_corners_too():
    assert find_components(np.eye(4, dtype=np.uint8)).count == 1


@given(MASKS)
def test_components_cover_the_mask_and_nothing_else(mask):
    components = find_components(mask)
    parts = masks_of(components, mask.shape)
    assert (np.sum(parts, axis=0, dtype=int) == mask).all()
    assert components.voxels.tolist() == [part.sum() for part in parts]
    values = np.random.default_rng(0).random(mask.shape)
    assert components.largest(values).tolist() == [values[part].max() for part in parts]
    np.testing.assert_allclose(
        components.centres(), np.array([np.argwhere(part).mean(axis=0) for part in parts]).reshape(-1, 3)
    )


@given(MASKS, MASKS)
def test_intersections_and_iou_are_those_of_whole_masks(one, other):
    lesions, candidates = find_components(one), find_components(other)
    ours, theirs = masks_of(lesions, one.shape), masks_of(candidates, other.shape)
    shape = (len(ours), len(theirs))
    both = np.array([[(a & b).sum() for b in theirs] for a in ours], int).reshape(shape)
    either = np.array([[(a | b).sum() for b in theirs] for a in ours], int).reshape(shape)
    assert (intersections(lesions, candidates) == both).all()
    np.testing.assert_array_equal(iou_table(lesions, candidates), both / either)


def test_lesions_far_apart_share_nothing():
    lesions, candidates = find_components(row((0, 3))), find_components(row((20, 23), (30, 33)))
    assert intersections(lesions, candidates).tolist() == [[0, 0]]


def test_a_lesion_is_found_from_the_least_iou_on():
    lesions, candidates = find_components(row((0, 20))), find_components(row((17, 20)))
    assert match_by_iou(lesions, candidates, least_iou=0.15).found_by == (0,)
    assert match_by_iou(lesions, candidates, least_iou=0.15).iou == (0.15,)
    missed = match_by_iou(lesions, candidates, least_iou=0.151)
    assert (missed.found_by, missed.iou, missed.false_positives) == ((None,), (0.0,), (0,))


def test_of_two_halves_of_a_lesion_the_larger_counts_and_the_other_is_ignored():
    matching = match_by_iou(find_components(row((0, 10))), find_components(row((0, 4), (5, 10))), least_iou=0.1)
    assert (matching.found_by, matching.iou, matching.false_positives) == ((1,), (0.5,), ())


def test_as_many_lesions_as_can_be_are_found_before_overlap_counts():
    lesions, candidates = find_components(row((0, 10), (11, 20))), find_components(row((0, 1), (2, 17)))
    assert iou_table(lesions, candidates).tolist() == [[0.1, 8 / 17], [0.0, 6 / 18]]
    assert match_by_iou(lesions, candidates, least_iou=0.1).found_by == (0, 1)
    assert match_by_iou(lesions, candidates, least_iou=0.2).found_by == (1, None)


def test_one_candidate_over_two_lesions_finds_one():
    matching = match_by_iou(find_components(row((0, 10), (11, 20))), find_components(row((0, 20))), least_iou=0.1)
    assert (matching.found_by, matching.false_positives) == ((0, None), ())


@pytest.mark.parametrize("least_iou", [0, -0.1, 1.5, float("nan")])
def test_a_least_iou_that_everything_or_nothing_meets_is_refused(least_iou):
    empty = find_components(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="least_iou"):
        match_by_iou(empty, empty, least_iou=least_iou)


def test_a_candidate_hits_the_lesion_that_holds_its_centre():
    lesions = find_components(row((10, 14), (20, 30)))
    candidates = find_components(row((0, 25), (26, 29)))
    matching = match_by_centre(lesions, candidates, np.array([0.9, 0.3]))
    assert (matching.found_by, matching.false_positives) == ((0, 1), ())
    assert matching.iou == pytest.approx((4 / 25, 3 / 10))


def test_of_several_centres_in_a_lesion_the_most_confident_counts():
    lesions, candidates = find_components(row((0, 20))), find_components(row((0, 3), (5, 8), (10, 16), (30, 33)))
    matching = match_by_centre(lesions, candidates, np.array([0.2, 0.8, 0.8, 0.9]))
    assert (matching.found_by, matching.iou, matching.false_positives) == ((2,), (0.3,), (3,))


def test_a_centre_outside_a_ring_does_not_hit_it():
    ring = np.ones((5, 5, 1), bool)
    ring[1:4, 1:4] = False
    whole = find_components(np.ones((5, 5, 1), bool))
    matching = match_by_centre(find_components(ring), whole, np.ones(1))
    assert (matching.found_by, matching.false_positives) == ((None,), (0,))


@given(MASKS, MASKS, st.sampled_from(["iou", "centre"]))
def test_every_candidate_is_true_false_or_ignored_and_true_at_most_once(reference, prediction, rule):
    lesions, candidates = find_components(reference), find_components(prediction)
    confidences = np.arange(candidates.count) / 7
    if rule == "iou":
        matching = match_by_iou(lesions, candidates, least_iou=0.2)
    else:
        matching = match_by_centre(lesions, candidates, confidences)
    taken = [candidate for candidate in matching.found_by if candidate is not None]
    assert len(taken) == len(set(taken))
    assert not set(taken) & set(matching.false_positives)
    assert len(matching.found_by) == len(matching.iou) == lesions.count
    table = iou_table(lesions, candidates)
    expected = [0.0 if c is None else table[r, c] for r, c in enumerate(matching.found_by)]
    assert list(matching.iou) == expected
    if rule == "iou":
        assert all(iou >= 0.2 for iou, c in zip(matching.iou, matching.found_by, strict=True) if c is not None)
        assert all((table[:, c] < 0.2).all() for c in matching.false_positives)


@given(MASKS, MASKS, st.sampled_from(FLIPS))
def test_turning_a_scan_round_finds_as_many_lesions(reference, prediction, axes):
    def counts(one, other):
        matching = match_by_iou(find_components(one), find_components(other), least_iou=0.2)
        return matching.found_by.count(None), len(matching.false_positives), sum(matching.iou)

    turned = counts(np.flip(reference, axes), np.flip(prediction, axes))
    assert turned == pytest.approx(counts(reference, prediction))


@pytest.mark.parametrize("spacing_mm", [(1, 1, 1), (0.7, 0.7, 3), (0.5, 2, 1)])
def test_a_voxel_is_as_long_as_its_diagonal(spacing_mm):
    mask = block((5, 5, 5), ((1, 2), (2, 3), (3, 4)))
    assert longest_axial_diameter_mm(mask, spacing_mm) == pytest.approx(math.hypot(*spacing_mm[:2]))


def test_length_across_slices_does_not_count():
    assert longest_axial_diameter_mm(np.ones((3, 4, 50), bool), (2, 1, 9)) == pytest.approx(math.hypot(6, 4))


def test_the_slice_of_the_longest_diameter_counts():
    mask = block((9, 9, 3), ((0, 2), (0, 2), (0, 1)), ((3, 9), (0, 9), (1, 2)), ((0, 1), (0, 9), (2, 3)))
    assert longest_axial_diameter_mm(mask, (1, 1, 1)) == pytest.approx(math.hypot(6, 9))


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (0.8, 0.5, 2.0)])
def test_a_sphere_is_as_long_as_its_diameter_and_a_corner_or_two(spacing_mm):
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in (70, 90, 40)], indexing="ij"), axis=-1)
    ball = (((grid - [35, 45, 20]) * spacing_mm) ** 2).sum(axis=-1) <= 12.0**2
    diameter = longest_axial_diameter_mm(ball, spacing_mm)
    assert 24 <= diameter <= 24 + 1.01 * math.hypot(*spacing_mm[:2])


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (0.6, 1.1, 1.0)])
def test_a_tilted_box_is_as_long_as_its_diagonal(spacing_mm):
    grid = np.stack(np.meshgrid(np.arange(120), np.arange(120), [0], indexing="ij"), axis=-1)
    x, y, _ = np.moveaxis((grid - [60, 60, 0]) * spacing_mm, -1, 0)
    turn = math.radians(35)
    along, across = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    box = (abs(along) <= 25) & (abs(across) <= 10)
    assert longest_axial_diameter_mm(box, spacing_mm) == pytest.approx(math.hypot(50, 20), abs=1.6)


@given(MASKS, SPACINGS)
def test_the_diameter_is_the_longest_of_all_pairs_of_corners(mask, spacing_mm):
    assert longest_axial_diameter_mm(mask, spacing_mm) == pytest.approx(longest_by_brute_force(mask, spacing_mm))
    components = find_components(mask)
    expected = [longest_by_brute_force(part, spacing_mm) for part in masks_of(components, mask.shape)]
    assert components.diameters_mm(spacing_mm).tolist() == pytest.approx(expected)


@given(MASKS, SPACINGS, st.sampled_from(FLIPS))
def test_the_diameter_stays_under_flips_and_exchange_of_axes_0_and_1(mask, spacing_mm, axes):
    diameter = longest_axial_diameter_mm(mask, spacing_mm)
    assert longest_axial_diameter_mm(np.flip(mask, axes), spacing_mm) == pytest.approx(diameter)
    exchanged = spacing_mm[1], spacing_mm[0], spacing_mm[2]
    assert longest_axial_diameter_mm(mask.swapaxes(0, 1), exchanged) == pytest.approx(diameter)


@pytest.mark.parametrize(("shape", "spacing_mm"), [((4, 4), (1, 1, 1)), ((4, 4, 4), (1, 0, 1)), ((4, 4, 4), (1, 1))])
def test_a_diameter_needs_three_axes_and_spacings(shape, spacing_mm):
    with pytest.raises(ValueError, match="three axes"):
        longest_axial_diameter_mm(np.ones(shape), spacing_mm)


def test_volumes_are_in_millilitres():
    mask = block((30, 30, 30), ((0, 10), (0, 10), (0, 10)), ((20, 21), (20, 22), (20, 21)))
    assert find_components(mask).volumes_ml((1, 2, 0.5)).tolist() == pytest.approx([1.0, 0.002])


def test_every_length_is_of_one_size_class():
    lengths = np.array([0, 9.99, 10, 19.99, 20, 39.99, 40, 300])
    held = np.array([size.holds(lengths) for size in SIZE_CLASSES])
    assert held.argmax(axis=0).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert (held.sum(axis=0) == 1).all()
