import numpy as np
import pytest
from abdomen_phantom import WINDOW, HounsfieldCascade, abdomen, on_cpu

from pancascade.imaging.preprocessing import Canvas
from pancascade.imaging.volume import Box, crop
from pancascade.inference.localization.region_probabilities import LEAST_TUMOUR_ML, RegionProbabilities, combine
from pancascade.inference.runners.slice_runner import SliceRunner
from pancascade.labels import Label

SHAPE = (12, 10, 8)
SPACING = (2.0, 2.0, 2.5)


def prediction(start, organ, tumour=None) -> RegionProbabilities:
    organ = np.asarray(organ, np.float32)
    tumour = np.zeros_like(organ) if tumour is None else np.asarray(tumour, np.float32)
    return RegionProbabilities(Box(start, tuple(np.add(start, organ.shape))), organ, tumour)


def on_scan(found: RegionProbabilities, what: str) -> np.ndarray:
    dense = np.zeros(SHAPE, np.float32)
    if found.box is not None:
        dense[found.box.slices] = getattr(found, what)
    return dense


def test_nothing_has_no_labels_and_no_box():
    nothing = RegionProbabilities.nothing()
    assert nothing.organ_box(spacing_mm=SPACING) is None
    labels = nothing.labels(SHAPE, spacing_mm=SPACING)
    assert labels.shape == SHAPE
    assert labels.dtype == np.uint8
    assert not labels.any()


def test_labels_land_in_the_box():
    organ, tumour = np.full((4, 4, 4), 0.9), np.zeros((4, 4, 4))
    tumour[1:3, 1:3, 1:3] = 0.6
    labels = prediction((2, 3, 1), organ, tumour).labels(SHAPE, spacing_mm=SPACING)
    expected = np.zeros(SHAPE, np.uint8)
    expected[2:6, 3:7, 1:5] = Label.PANCREAS
    expected[3:5, 4:6, 2:4] = Label.TUMOUR
    assert np.array_equal(labels, expected)


@pytest.mark.parametrize(
    ("organ", "tumour", "label"),
    [
        (0.6, 0.0, Label.PANCREAS),
        (0.4, 0.0, Label.BACKGROUND),
        (0.9, 0.5, Label.TUMOUR),
        (0.9, 0.49, Label.PANCREAS),
        (0.55, 0.55, Label.TUMOUR),
    ],
)
def test_a_voxel_is_tumour_if_likely_else_pancreas_if_likelier_than_background(organ, tumour, label):
    labels = prediction((0, 0, 0), np.full((3, 3, 3), organ), np.full((3, 3, 3), tumour))
    assert (labels.labels((3, 3, 3), spacing_mm=(10.0, 10.0, 10.0)) == label).all()


def test_a_light_second_component_is_left_out_and_a_heavy_one_kept_if_it_is_near():
    organ = np.zeros((12, 4, 4))
    organ[:6], organ[8, 1:2, 1:2] = 0.9, 0.9
    assert not prediction((0, 0, 0), organ).labels(SHAPE, spacing_mm=SPACING)[8:].any()
    organ[8:12] = 0.9
    near = prediction((0, 0, 0), organ).labels(SHAPE, spacing_mm=SPACING)
    assert near[8:, :4, :4].all()
    far = prediction((0, 0, 0), organ).labels(SHAPE, spacing_mm=(7.0, 2.0, 2.5))
    assert far[:6, :4, :4].all()
    assert not far[8:].any()


def test_a_tumour_away_from_the_organ_is_left_out():
    organ, tumour = np.zeros((12, 4, 4)), np.zeros((12, 4, 4))
    organ[:6] = 0.9
    organ[9:11, 1:3, 1:3] = tumour[9:11, 1:3, 1:3] = 0.8
    assert not (prediction((0, 0, 0), organ, tumour).labels(SHAPE, spacing_mm=SPACING) == Label.TUMOUR).any()


def test_a_spot_below_the_least_volume_is_pancreas_not_tumour():
    organ, tumour = np.full((5, 5, 5), 0.9), np.zeros((5, 5, 5))
    tumour[2, 2, 1:4] = 0.9
    found = prediction((0, 0, 0), organ, tumour)
    large, small = (((1000 * LEAST_TUMOUR_ML / voxels) ** (1 / 3),) * 3 for voxels in (3, 4))
    assert np.count_nonzero(found.labels((5, 5, 5), spacing_mm=large) == Label.TUMOUR) == 3
    labels = found.labels((5, 5, 5), spacing_mm=small)
    assert (labels == Label.PANCREAS).all()


def test_the_organ_s_box_is_where_it_is_likelier_than_not():
    organ = np.full((6, 6, 6), 0.3)
    organ[1:4, 2:5, 3:5] = 0.7
    assert prediction((3, 2, 1), organ).organ_box(spacing_mm=SPACING) == Box((4, 4, 4), (7, 7, 6))
    assert prediction((3, 2, 1), np.full((6, 6, 6), 0.3)).organ_box(spacing_mm=SPACING) is None


def test_combining_with_nothing_changes_nothing():
    wide = prediction((1, 1, 1), np.full((3, 3, 3), 0.8))
    field = Box.whole(SHAPE)
    assert combine(RegionProbabilities.nothing(), RegionProbabilities.nothing(), field=field, weight=0.5).box is None
    alone = combine(RegionProbabilities.nothing(), wide, field=field, weight=1.0)
    assert np.array_equal(on_scan(alone, "organ"), on_scan(wide, "organ"))


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_organ_is_the_weighted_mean_inside_the_field_and_the_first_look_outside(weight):
    wide = prediction((1, 1, 1), np.full((8, 6, 4), 0.8))
    close = prediction((4, 2, 2), np.full((6, 4, 4), 0.6))
    field = Box((3, 1, 1), (11, 8, 7))
    both = combine(wide, close, field=field, weight=weight)
    inside = np.zeros(SHAPE, bool)
    inside[field.slices] = True
    first, second = on_scan(wide, "organ"), on_scan(close, "organ")
    expected = np.where(inside, (1 - weight) * first + weight * second, first)
    np.testing.assert_allclose(on_scan(both, "organ"), expected, atol=1e-6)


def test_the_tumour_inside_the_field_is_the_closer_look_s():
    tumour = np.zeros((8, 6, 4))
    tumour[1:3, 1:3, 1:3] = 0.7
    tumour[6, 4, 3] = 0.7
    wide = prediction((1, 1, 1), np.full((8, 6, 4), 0.8), tumour)
    close = prediction((4, 2, 2), np.full((3, 3, 2), 0.9), np.full((3, 3, 2), 0.6))
    field = Box((2, 1, 1), (8, 7, 5))
    both = combine(wide, close, field=field, weight=0.5)
    expected = on_scan(wide, "tumour")
    expected[field.slices] = on_scan(close, "tumour")[field.slices]
    np.testing.assert_allclose(on_scan(both, "tumour"), expected)


def test_a_closer_look_that_finds_nothing_leaves_the_organ_as_it_was():
    wide = prediction((1, 1, 1), np.full((3, 3, 3), 0.8))
    both = combine(wide, RegionProbabilities.nothing(), field=Box((0, 0, 0), (6, 6, 6)), weight=0.5)
    assert np.array_equal(on_scan(both, "organ"), on_scan(wide, "organ"))


def test_a_tumour_is_never_likelier_than_the_organ_that_holds_it():
    wide = prediction((0, 0, 0), np.full((4, 4, 4), 0.1))
    close = prediction((1, 1, 1), np.full((2, 2, 2), 0.95), np.full((2, 2, 2), 0.9))
    both = combine(wide, close, field=Box((0, 0, 0), (4, 4, 4)), weight=0.5)
    assert (both.organ >= both.tumour).all()
    assert both.organ.dtype == both.tumour.dtype == np.float32


def test_combining_changes_neither_look():
    wide, close = prediction((0, 0, 0), np.full((4, 4, 4), 0.5)), prediction((1, 1, 1), np.full((2, 2, 2), 0.5))
    combine(wide, close, field=Box((0, 0, 0), (4, 4, 4)), weight=0.5)
    assert (wide.organ == 0.5).all()
    assert (close.organ == 0.5).all()


@pytest.mark.parametrize("tumour_hu", [None, 190])
def test_prediction_in_a_part_of_a_scan_gives_the_place_in_the_scan(tumour_hu):
    scan, truth = abdomen()
    runner = SliceRunner(
        on_cpu(HounsfieldCascade(tumour_hu=tumour_hu)),
        Canvas(size=(32, 32), spacing_mm=None, window=WINDOW),
    )
    box = Box.around(truth)
    at = box.expand((3, 2, 2)).clip(scan.shape)
    found = runner.find(crop(scan, at), at=at)
    assert found.organ_box(spacing_mm=SPACING) == box
    assert found.organ.shape == found.tumour.shape == found.box.shape
    assert found.organ.dtype == np.float32
    organ = np.zeros(scan.shape, np.float32)
    organ[found.box.slices] = found.organ
    assert np.array_equal(organ >= 0.5, truth > 0)
    assert (found.tumour >= 0.5).any() == (tumour_hu is not None)
    assert (found.tumour <= found.organ).all()
