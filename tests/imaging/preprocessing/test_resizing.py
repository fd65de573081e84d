"""Resizing by NumPy against torch."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from pancascade.imaging.preprocessing.resizing import resize, resizing_weights

SIZES = [((40, 51), (40, 51)), ((40, 51), (27, 33)), ((40, 51), (64, 100)), ((40, 51), (13, 90)), ((5, 3), (1, 1))]


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(("native", "size"), SIZES)
def test_images_are_what_torch_makes_of_them(native: tuple[int, int], size: tuple[int, int], antialias: bool) -> None:
    images = np.random.default_rng(0).random((2, 3, *native), dtype=np.float32)
    wanted = functional.interpolate(torch.from_numpy(images), size=size, mode="bilinear", antialias=antialias).numpy()
    np.testing.assert_allclose(resize(images, size, antialias=antialias), wanted, atol=1e-5)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(("source", "target"), [(512, 411), (411, 512), (7, 7), (1, 9), (9, 1)])
def test_weights_of_every_new_pixel_sum_to_1(source: int, target: int, antialias: bool) -> None:
    weights = resizing_weights(source, target, antialias=antialias)
    assert weights.shape == (target, source)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)


def test_a_resized_image_may_be_a_view_of_any_order() -> None:
    image = np.random.default_rng(1).random((30, 20), dtype=np.float32)
    np.testing.assert_array_equal(resize(image.T, (11, 12)), resize(np.ascontiguousarray(image.T), (11, 12)))
