import numpy as np
import pytest

from pancascade.results.measurements.neighbourhood import neighbourhood_mean, neighbourhood_sigma_mm

SPACING_MM = (0.8, 0.8, 2.5)


def _ball(shape, spacing_mm, radius_mm):
    centre = [(size - 1) / 2 for size in shape]
    grid = np.indices(shape).reshape(3, -1).T
    distance = np.linalg.norm((grid - centre) * spacing_mm, axis=1)
    return (distance <= radius_mm).reshape(shape).astype(np.float32)


def test_one_millilitre_is_a_gaussian_with_the_variance_of_its_ball():
    assert neighbourhood_sigma_mm(1.0) == pytest.approx(2.774, abs=1e-3)
    inside = np.argwhere(_ball((61, 61, 61), (0.5,) * 3, 6.2035)) * 0.5
    assert neighbourhood_sigma_mm(1.0) == pytest.approx(inside[:, 0].std(), rel=0.01)


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), SPACING_MM, (0.7, 0.7, 5.0)])
def test_the_mean_of_a_lonely_voxel_is_its_share_of_the_neighbourhood(spacing_mm):
    """The peak of the filter is one voxel's volume over the Gaussian's (2 pi)^(3/2) sigma^3 = 0.336 mL."""
    lonely = np.zeros((41, 41, 21), np.float32)
    lonely[20, 20, 10] = 1
    expected = np.prod(spacing_mm) / ((2 * np.pi) ** 1.5 * neighbourhood_sigma_mm(1.0) ** 3)
    assert neighbourhood_mean(lonely, spacing_mm).max() == pytest.approx(expected, rel=0.06)


def test_a_wide_certainty_stays_certain_and_a_small_one_does_not():
    wide, small = (neighbourhood_mean(_ball((51, 51, 25), SPACING_MM, r), SPACING_MM).max() for r in (14, 2))
    assert wide == pytest.approx(1, abs=1e-3)
    assert small < 0.15


def test_slices_and_pixels_are_weighed_in_millimetres():
    fine = neighbourhood_mean(_ball((61, 61, 61), (0.75,) * 3, 6), (0.75,) * 3).max()
    coarse = neighbourhood_mean(_ball((61, 61, 17), (0.75, 0.75, 3.0), 6), (0.75, 0.75, 3.0)).max()
    assert coarse == pytest.approx(fine, abs=0.03)


def test_outside_counts_as_nothing():
    assert neighbourhood_mean(np.ones((30, 30, 30)), (1.0, 1.0, 1.0))[0, 15, 15] == pytest.approx(0.5, abs=0.1)


def test_half_precision_maps_are_averaged_in_single_precision():
    mean = neighbourhood_mean(np.full((40, 40, 40), 0.25, np.float16), (1.0, 1.0, 1.0))
    assert mean.dtype == np.float32
    assert mean[20, 20, 20] == pytest.approx(0.25, abs=1e-3)


def test_an_empty_map_has_an_empty_mean():
    assert neighbourhood_mean(np.zeros((0, 0, 0)), (1.0, 1.0, 1.0)).shape == (0, 0, 0)


@pytest.mark.parametrize(("shape", "spacing_mm"), [((4, 4), (1.0, 1.0, 1.0)), ((4, 4, 4), (1.0, 0.0, 1.0))])
def test_a_map_of_other_dimensions_or_without_size_is_refused(shape, spacing_mm):
    with pytest.raises(ValueError, match=r"needs a map|must be positive"):
        neighbourhood_mean(np.zeros(shape), spacing_mm)
