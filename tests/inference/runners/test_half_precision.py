import numpy as np

from pancascade.inference.runners.half_precision import half_precision


def test_probabilities_stay_what_float16_can_say_and_tiny_ones_are_0():
    values = np.array([[0, 1e-9, 6e-5, 6.3e-5, 0.02, 0.5, 0.99999, 1]], np.float32)
    found = half_precision(values)
    assert found.dtype == np.float16
    assert found.shape == values.shape
    assert found[0, :3].tolist() == [0, 0, 0]
    assert np.array_equal(found[0, 3:], values[0, 3:].astype(np.float16))


def test_what_is_no_number_is_still_found_out():
    found = half_precision(np.array([np.nan, np.inf, 0.5], np.float32))
    assert np.isnan(found[0])
    assert np.isinf(found[1])
