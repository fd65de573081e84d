"""Comparisons of half precision by bit patterns against NumPy's own."""

import numpy as np
import pytest

from pancascade.imaging.volume import at_least, highest

EVERY = np.arange(0x7C00, dtype=np.uint16).view(np.float16)
"""Every finite float16 that is not negative."""


@pytest.mark.parametrize("threshold", [6.2e-5, 0.02, 0.2, 0.5, 0.9 * float(np.float16(0.3)), 1.0])
def test_every_half_precision_number_is_compared_as_numpy_compares_it(threshold):
    assert np.array_equal(at_least(EVERY, threshold), threshold <= EVERY)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("axis", [None, 0, (0, 2)])
def test_the_highest_probability_is_numpy_s_maximum_for_any_strides(dtype, axis):
    maps = np.random.default_rng(0).random((3, 4, 5)).astype(dtype)
    for seen in (maps, maps[::-1, 1:], np.asfortranarray(maps), maps.transpose(2, 0, 1)):
        found = highest(seen, axis=axis)
        assert found.dtype == dtype
        assert np.array_equal(found, seen.max(axis=axis))
        assert np.array_equal(at_least(seen, 0.5), seen >= 0.5)
