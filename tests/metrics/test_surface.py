import math
import warnings
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from pancascade.metrics.surface import SurfaceDistances, find_surface, surface_distances

SPACING = (0.7, 1.3, 2.9)
TOLERANCES = (0.4, 1.0, 2.0, 3.5)
DEFINITIONS = ("surfel", "voxel")

MASKS = arrays(bool, (5, 4, 3), elements=st.booleans())
SPACINGS = st.tuples(*[st.sampled_from((0.5, 0.75, 1.0, 1.7, 3.0))] * 3)


def smooth(random, shape=(17, 14, 9), share=0.7) -> np.ndarray:
    noise = ndimage.gaussian_filter(random.standard_normal(shape), 1.5)
    return noise > np.quantile(noise, share)


def voxel(*place, shape=(7, 6, 5)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[place] = True
    return mask


def box(low, high, shape=(20, 18, 10)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


def numbers(distances: SurfaceDistances, percents=(95, 100, 50)) -> list[float]:
    return [
        *(distances.hausdorff_mm(percent) for percent in percents),
        distances.average_mm,
        *(distances.normalised_dice(tolerance) for tolerance in TOLERANCES),
    ]


def measured(one, other, spacing_mm=SPACING, percents=(95, 100, 50), **options) -> list[float]:
    return numbers(surface_distances(one, other, spacing_mm, **options), percents)


def pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(7)
    noise = random.random((2, 8, 9, 7)) > 0.7
    thick = np.zeros((12, 12, 1), bool)
    thick[2:7, 3:8] = True
    return {
        "blobs": (smooth(random), smooth(random, share=0.8)),
        "speckle": (noise[0], noise[1]),
        "touching every border": (np.ones((5, 6, 4), bool), box((0, 2, 0), (5, 6, 1), (5, 6, 4))),
        "single voxels": (voxel(0, 0, 0), voxel(6, 5, 4)),
        "the same voxel": (voxel(3, 2, 1), voxel(3, 2, 1)),
        "one slice": (thick, np.roll(thick, (3, -2), (0, 1))),
        "one voxel in a block": (voxel(3, 3, 2), box((0, 0, 0), (7, 6, 5), (7, 6, 5))),
        "far apart": (box((1, 1, 1), (4, 5, 3)), box((14, 12, 6), (19, 17, 9))),
        "a hole": (box((2, 2, 2), (12, 12, 8)) & ~box((5, 5, 4), (8, 8, 6)), box((3, 2, 2), (12, 13, 8))),
    }


@pytest.mark.oracle
@pytest.mark.parametrize("spacing_mm", [SPACING, (1.0, 1.0, 1.0), (0.8, 0.8, 5.0)])
@pytest.mark.parametrize("pair", pairs().values(), ids=pairs().keys())
def test_surfel_numbers_are_those_of_the_package_surface_distance(pair, spacing_mm):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import surface_distance as package

        one, other = pair
        theirs = package.compute_surface_distances(other, one, spacing_mm)
        robust = [package.compute_robust_hausdorff(theirs, percent) for percent in (95, 100, 50)]
        true_to_found, found_to_true = package.compute_average_surface_distance(theirs)
        near = [package.compute_surface_dice_at_tolerance(theirs, tolerance) for tolerance in TOLERANCES]
    areas = [theirs["surfel_areas_gt"].sum(), theirs["surfel_areas_pred"].sum()]
    average = np.average([true_to_found, found_to_true], weights=areas)
    assert measured(one, other, spacing_mm) == pytest.approx([*robust, average, *near], abs=1e-9)


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("pair", pairs().values(), ids=pairs().keys())
def test_voxel_numbers_are_monai_s(pair):
    import torch
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice

    # MONAI crops to both masks and then takes the frame of the crop for no border.
    one, other = (np.pad(mask, 1) for mask in pair)
    tensors = [torch.from_numpy(mask)[None, None].float() for mask in (one, other)]
    options = {"include_background": True, "spacing": SPACING}
    expected = [
        float(compute_hausdorff_distance(*tensors, percentile=95, **options)),
        float(compute_hausdorff_distance(*tensors, **options)),
        float(compute_average_surface_distance(*tensors, symmetric=True, **options)),
        *(float(compute_surface_dice(*tensors, class_thresholds=[t], **options)) for t in TOLERANCES),
    ]
    found = measured(one, other, definition="voxel")
    assert [*found[:2], *found[3:]] == pytest.approx(expected, abs=1e-5)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "pair",
    [
        (voxel(0, 0, 0), voxel(6, 5, 4)),
        (box((1, 1, 1), (4, 5, 3)), box((14, 12, 6), (19, 17, 9))),
        (box((0, 0, 0), (5, 18, 10)), box((9, 3, 2), (20, 7, 10))),
        (box((2, 3, 0), (7, 8, 1), (12, 12, 1)), box((8, 1, 0), (12, 9, 1), (12, 12, 1))),
    ],
    ids=["voxels", "blocks", "at the border", "one slice"],
)
def test_the_voxel_hausdorff_distance_of_disjoint_shapes_is_simpleitk_s(pair):
    """SimpleITK measures from every voxel; the farthest of a block apart is one of its border."""
    itk = pytest.importorskip("SimpleITK")
    one, other = pair
    images = [itk.GetImageFromArray(mask.transpose().astype(np.uint8)) for mask in pair]
    for image in images:
        image.SetSpacing(SPACING)
    judge = itk.HausdorffDistanceImageFilter()
    judge.Execute(*images)
    found = surface_distances(one, other, SPACING, definition="voxel")
    assert found.hausdorff_mm(100) == pytest.approx(judge.GetHausdorffDistance(), rel=1e-5)


@pytest.mark.oracle
@pytest.mark.parametrize("pair", pairs().values(), ids=pairs().keys())
def test_border_voxels_are_those_that_an_erosion_takes_away(pair):
    for mask in pair:
        kept = ndimage.binary_erosion(mask, ndimage.generate_binary_structure(3, 1))
        points = find_surface(mask, SPACING, definition="voxel").points
        assert {tuple(p) for p in points.tolist()} == {tuple(p) for p in np.argwhere(mask & ~kept).tolist()}


@pytest.mark.parametrize("definition", DEFINITIONS)
@pytest.mark.parametrize(("axis", "steps"), [(0, 4), (1, 3), (2, 2)])
def test_parallel_plates_lie_their_distance_apart(definition, axis, steps):
    one = np.zeros((9, 9, 9), bool)
    place = [slice(None)] * 3
    place[axis] = slice(2, 3)
    one[tuple(place)] = True
    found = surface_distances(one, np.roll(one, steps, axis), SPACING, definition=definition)
    apart_mm = steps * SPACING[axis]
    assert found.hausdorff_mm(100) == pytest.approx(apart_mm)
    if definition == "voxel":
        assert [found.hausdorff_mm(95), found.average_mm] == pytest.approx([apart_mm] * 2)
        assert found.normalised_dice(apart_mm - 1e-6) == 0
        assert found.normalised_dice(apart_mm) == 1
    else:
        # A plate has two faces; those that look at each other are one voxel nearer.
        near_mm = (steps - 1) * SPACING[axis]
        assert found.normalised_dice(near_mm - 1e-6) == 0
        assert found.normalised_dice(near_mm) == pytest.approx(0.5)


def test_a_tolerance_equal_to_the_distance_is_within_it():
    """0.1 · 3 is above 0.3 in binary numbers."""
    one, other = voxel(1, 1, 1), voxel(4, 1, 1)
    found = surface_distances(one, other, (0.1, 1.0, 1.0), definition="voxel")
    assert found.normalised_dice(0.1 * 3) == 1
    assert surface_distances(one, other, (0.7, 1, 1), definition="voxel").normalised_dice(0.7 * 3) == 1


def test_the_hd95_by_hand_looks_at_area_for_surfels_and_at_counts_for_voxels():
    values = np.array([0.0, 1.0, 2.0, 10.0])
    for definition, weights, expected in (
        ("surfel", [90.0, 4.0, 1.0, 5.0], 2.0),
        ("surfel", [90.0, 4.0, 0.5, 5.5], 10.0),
        ("voxel", [1.0] * 4, 2 + 0.85 * 8),
    ):
        nothing = np.zeros(0)
        found = SurfaceDistances(values, np.array(weights), nothing, nothing, definition)
        assert found.hausdorff_mm(95) == pytest.approx(expected)


def test_the_area_of_a_flat_face_is_its_voxels_area():
    mask = box((2, 2, 2), (14, 12, 8))
    surface = find_surface(mask, SPACING)
    flat = (surface.points[:, 2] == 2) & (surface.points[:, :2] > 3).all(axis=1) & (surface.points[:, 0] < 13)
    flat &= surface.points[:, 1] < 11
    assert flat.sum() == 9 * 7
    assert surface.weights[flat] == pytest.approx(SPACING[0] * SPACING[1])


@pytest.mark.parametrize("definition", DEFINITIONS)
@settings(max_examples=60)
@given(MASKS, MASKS, SPACINGS)
def test_swapping_flipping_permuting_and_scaling_do_what_they_must(definition, one, other, spacing_mm):
    # Percents on which no sum of a few equal areas falls: there rounding would choose, as it does in surface-distance.
    options = {"definition": definition, "percents": (95.37, 100, 51.13)}
    expected = measured(one, other, spacing_mm, **options)

    def check(found):
        assert found == pytest.approx(expected, rel=1e-9, nan_ok=True)

    check(measured(other, one, spacing_mm, **options))
    check(measured(one[::-1, :, ::-1], other[::-1, :, ::-1], spacing_mm, **options))
    padded = [np.pad(mask, ((3, 0), (1, 2), (0, 4))) for mask in (one, other)]
    check(measured(*padded, spacing_mm, **options))
    for axes in permutations(range(3)):
        turned = tuple(spacing_mm[axis] for axis in axes)
        check(measured(one.transpose(axes), other.transpose(axes), turned, **options))
    doubled = surface_distances(one, other, tuple(2 * mm for mm in spacing_mm), definition=definition)
    distances = [*(doubled.hausdorff_mm(percent) for percent in options["percents"]), doubled.average_mm]
    check([mm / 2 for mm in distances] + [doubled.normalised_dice(2 * tolerance) for tolerance in TOLERANCES])


@pytest.mark.parametrize("definition", DEFINITIONS)
@settings(max_examples=60)
@given(MASKS, MASKS)
def test_nsd_rises_with_the_tolerance_and_hd95_stays_below_hd(definition, one, other):
    found = surface_distances(one, other, SPACING, definition=definition)
    if not (one.any() and other.any()):
        return
    near = [found.normalised_dice(tolerance) for tolerance in np.linspace(0, 20, 30)]
    assert near == sorted(near)
    assert near[-1] == pytest.approx(1)
    assert found.hausdorff_mm(95) <= found.hausdorff_mm(100)
    assert found.average_mm <= found.hausdorff_mm(100) + 1e-12


@pytest.mark.parametrize("definition", DEFINITIONS)
@pytest.mark.parametrize("pair", pairs().values(), ids=pairs().keys())
def test_the_tree_and_the_map_find_the_same(definition, pair, monkeypatch):
    found = []
    for pays in (0, 1e9):
        monkeypatch.setattr("pancascade.metrics.surface._MAP_PAYS", pays)
        found.append(surface_distances(*pair, SPACING, definition=definition))
    tree, by_map = found
    assert tree.prediction_mm == pytest.approx(by_map.prediction_mm, abs=1e-12)
    assert tree.reference_mm == pytest.approx(by_map.reference_mm, abs=1e-12)
    assert numbers(tree) == pytest.approx(numbers(by_map), abs=1e-12)


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_equal_masks_have_no_distance(definition):
    mask = smooth(np.random.default_rng(1))
    found = surface_distances(mask, mask, SPACING, definition=definition)
    assert [found.hausdorff_mm(95), found.hausdorff_mm(100), found.average_mm] == [0, 0, 0]
    assert found.normalised_dice(0.0) == 1


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_an_empty_mask_is_infinitely_far_and_two_are_no_number(definition):
    mask, empty = voxel(2, 2, 2), np.zeros((7, 6, 5), bool)
    for pair in ((mask, empty), (empty, mask)):
        found = surface_distances(*pair, SPACING, definition=definition)
        assert [found.hausdorff_mm(95), found.hausdorff_mm(100), found.average_mm] == [math.inf] * 3
        assert found.normalised_dice(5) == 0
    assert np.isnan(measured(empty, empty, definition=definition)).all()


def test_integers_and_views_are_masks_too():
    one, other = pairs()["blobs"]
    assert measured(one * 3, np.asfortranarray(other).astype(np.uint8)) == measured(one, other)


def test_masks_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 2, 2\).*\(2, 2, 3\)"):
        surface_distances(np.ones((2, 2, 2)), np.ones((2, 2, 3)), SPACING)
    with pytest.raises(ValueError, match=r"three axes.*\(4, 4\)"):
        find_surface(np.ones((4, 4)), SPACING)


@pytest.mark.parametrize("share", [0.01, 0.2])
def test_tree_and_distance_map_give_the_same_distances(monkeypatch, share):
    rng = np.random.default_rng(3)
    one, other = (rng.random((14, 11, 9)) < share for _ in range(2))
    found = []
    for pays in (0, 10**9):
        monkeypatch.setattr("pancascade.metrics.surface._MAP_PAYS", pays)
        found.append(surface_distances(one, other, (0.7, 0.9, 2.5)))
    assert np.array_equal(found[0].prediction_mm, found[1].prediction_mm)
    assert np.array_equal(found[0].reference_weights, found[1].reference_weights)
    assert found[0].normalised_dice(0.7) == found[1].normalised_dice(0.7)
