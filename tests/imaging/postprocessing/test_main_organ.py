"""One organ in one place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage import measure

from pancascade.imaging.postprocessing import main_organ
from pancascade.imaging.volume import Box

MM = (1.0, 1.0, 1.0)


def placed(*boxes, shape=(60, 12, 12), probability=1.0):
    """Probabilities that are high in boxes of rows (first, last)."""
    values = np.zeros(shape)
    for first, last in boxes:
        values[first:last] = probability
    return values


def kept(values, **options):
    return np.flatnonzero(main_organ(values, **{"spacing_mm": MM, **options}).any(axis=(1, 2))).tolist()


def rows(*ranges):
    return [row for first, last in ranges for row in range(first, last)]


def test_a_heavy_component_far_away_is_dropped_and_one_close_by_is_kept():
    values = placed((0, 20), (25, 30), (45, 60))
    assert kept(values) == rows((0, 20), (25, 30))


def test_a_light_component_is_dropped_however_close():
    values = placed((0, 30))
    values[35, 0, 0] = 1
    assert kept(values) == rows((0, 30))
    assert kept(values, share=0.0001) == [*rows((0, 30)), 35]


def test_the_gap_is_counted_in_millimetres_along_each_axis():
    """Four empty slices between: 12 mm at 3 mm a slice, 12.4 mm at 3.1 mm."""
    values = placed((0, 20), (24, 34))
    assert kept(values, spacing_mm=(3.0, 1.0, 1.0)) == rows((0, 20), (24, 34))
    assert kept(values, spacing_mm=(3.1, 1.0, 1.0)) == rows((0, 20))
    turned = np.ascontiguousarray(values.transpose(1, 0, 2))
    assert np.array_equal(
        main_organ(turned, spacing_mm=(9.0, 3.1, 1.0)),
        main_organ(values, spacing_mm=(3.1, 9.0, 1.0)).transpose(1, 0, 2),
    )


def test_closeness_is_to_the_heaviest_component_not_from_one_to_the_next():
    values = placed((0, 20), (28, 34), (42, 48))
    assert kept(values) == rows((0, 20), (28, 34))


def test_the_heaviest_is_the_one_with_most_probability():
    values = np.maximum(placed((0, 10), probability=1.0), placed((40, 56), probability=0.55))
    assert kept(values) == rows((0, 10))


def test_nothing_likely_leaves_nothing_and_the_threshold_itself_is_likely():
    assert not main_organ(np.full((4, 5, 6), 0.49), spacing_mm=MM).any()
    assert main_organ(np.full((4, 5, 6), 0.5), spacing_mm=MM).all()
    assert main_organ(np.full((4, 5, 6), 0.2), spacing_mm=MM, threshold=0.2).all()


def test_inputs_stay_as_they_are():
    values = placed((0, 20), (45, 60))
    before = values.copy()
    main_organ(values, spacing_mm=MM)
    assert np.array_equal(values, before)


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (0.8, 5.0, 2.0)])
def test_the_components_kept_are_those_of_scikit_image_by_weight_and_gap(seed, spacing_mm):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(24, 20, 16)), 1.3)
    values = np.clip(0.5 + (noise - 1.2 * noise.std()) / (6 * noise.std()), 0, 1)
    regions = measure.regionprops(measure.label(values >= 0.5, connectivity=3), intensity_image=values)
    weight = {region.label: region.image_intensity.sum() for region in regions}
    heaviest = max(regions, key=lambda region: weight[region.label])
    expected = np.zeros(values.shape, bool)
    for region in regions:
        gaps = [
            max(a_first - b_last, b_first - a_last, 0) * step
            for a_first, a_last, b_first, b_last, step in zip(
                region.bbox[:3], region.bbox[3:], heaviest.bbox[:3], heaviest.bbox[3:], spacing_mm, strict=True
            )
        ]
        if weight[region.label] >= 0.1 * weight[heaviest.label] and max(gaps) <= 12:
            expected[region.slice] |= region.image
    assert 1 < expected.sum() < (values >= 0.5).sum()
    assert np.array_equal(main_organ(values, spacing_mm=spacing_mm), expected)


@given(st.integers(0, 2**32 - 1))
def test_what_is_kept_is_likely_and_lies_in_one_place(seed):
    values = np.random.default_rng(seed).random((9, 8, 7)) ** 2
    organ = main_organ(values, spacing_mm=(6.0, 6.0, 6.0))
    assert not (organ & (values < 0.5)).any()
    assert organ.any() == (values >= 0.5).any()
    if organ.any():
        heaviest = np.unravel_index(np.argmax(np.where(organ, values, 0)), values.shape)
        assert Box.around(organ).contains(Box(heaviest, tuple(place + 1 for place in heaviest)))
