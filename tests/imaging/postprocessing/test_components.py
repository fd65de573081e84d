import numpy as np
import pytest
from scipy import ndimage
from skimage import measure

from pancascade.imaging.postprocessing import main_components, touching

SEEDS = range(12)


def blobs(seed: int) -> np.ndarray:
    """Smooth noise: some dozen bodies of every size, weights all different."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(24, 20, 16)), 1.3)
    return np.clip(0.5 + (noise - 1.2 * noise.std()) / (6 * noise.std()), 0, 1)


@pytest.mark.oracle
@pytest.mark.parametrize("share", [0.05, 0.25, 1.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_main_bodies_are_scikit_image_s_components_by_weight(seed, share):
    probabilities = blobs(seed)
    components = measure.label(probabilities >= 0.5, connectivity=3)
    weights = np.array([probabilities[components == c].sum() for c in range(1, components.max() + 1)])
    assert len(weights) > 3
    chosen = np.flatnonzero(weights >= share * weights.max()) + 1
    assert np.array_equal(main_components(probabilities, share=share), np.isin(components, chosen))


@pytest.mark.oracle
@pytest.mark.parametrize("least", [1, 5, 40])
@pytest.mark.parametrize("seed", SEEDS)
def test_touching_is_what_scikit_image_says(seed, least):
    mask, other = blobs(seed) >= 0.5, blobs(seed + 100) >= 0.55
    components = measure.label(mask, connectivity=3)
    near = ndimage.binary_dilation(other, structure=np.ones((3, 3, 3)))
    expected = np.zeros_like(mask)
    for region in measure.regionprops(components):
        body = components == region.label
        if region.area >= least and (body & near).any():
            expected |= body
    assert np.array_equal(touching(mask, other, least_voxels=least), expected)


def test_nothing_likely_leaves_nothing():
    kept = main_components(np.full((4, 5, 6), 0.49))
    assert kept.shape == (4, 5, 6)
    assert kept.dtype == bool
    assert not kept.any()


def test_the_threshold_itself_is_likely():
    assert main_components(np.full((2, 2, 2), 0.5)).all()
    assert main_components(np.full((2, 2, 2), 0.02, np.float32), threshold=0.02).all()


def test_weight_counts_probability_not_voxels():
    probabilities = np.zeros((10, 3, 3))
    probabilities[0:3, 0, 0] = 0.5
    probabilities[6:8, 0, 0] = 1.0
    kept = main_components(probabilities, share=0.8)
    assert kept[6:8, 0, 0].all()
    assert not kept[:3].any()


def test_a_body_of_exactly_the_share_is_kept():
    probabilities = np.zeros((10, 3, 3))
    probabilities[0:4, 0, 0] = 1.0
    probabilities[6, 0, 0] = 1.0
    assert main_components(probabilities, share=0.25)[6, 0, 0]
    assert not main_components(probabilities, share=0.26)[6, 0, 0]


def test_bodies_that_meet_at_a_corner_are_one():
    probabilities = np.zeros((6, 6, 6))
    probabilities[0:3, 0:3, 0:3] = 1.0
    probabilities[3, 3, 3] = 1.0
    assert main_components(probabilities)[3, 3, 3]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_half_precision_does_not_overflow_the_weights(dtype):
    """The sum of a large organ's voxels is beyond 65504, the largest float16."""
    probabilities = np.zeros((60, 60, 60), dtype)
    probabilities[:50] = 1
    probabilities[55:] = 1
    assert np.array_equal(main_components(probabilities), np.repeat(np.arange(60) < 50, 3600).reshape(60, 60, 60))


def test_inputs_stay_as_they_are():
    probabilities = blobs(1)
    before, mask = probabilities.copy(), probabilities >= 0.5
    main_components(probabilities)
    touching(mask, mask)
    assert np.array_equal(probabilities, before)
    assert np.array_equal(mask, before >= 0.5)


def test_an_empty_mask_touches_nothing_and_nothing_touches_an_empty_one():
    empty, full = np.zeros((3, 4, 5), bool), np.ones((3, 4, 5), bool)
    assert not touching(empty, full).any()
    assert not touching(full, empty).any()


def test_neighbours_touch_and_a_gap_of_one_voxel_parts():
    mask, other = np.zeros((8, 5, 5), bool), np.zeros((8, 5, 5), bool)
    mask[4:6, 1:3, 1:3] = True
    other[3, 0, 0] = True
    assert np.array_equal(touching(mask, other), mask)
    other[3], other[2] = False, True
    assert not touching(mask, other).any()


def test_at_the_edge_of_the_array_nothing_wraps_round():
    mask, other = np.zeros((6, 4, 4), bool), np.zeros((6, 4, 4), bool)
    mask[0], other[5] = True, True
    assert not touching(mask, other).any()
