"""Neighbouring slices as channels, and that training and inference show the same."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pancascade.data.readers import AxialSlice, Case
from pancascade.data.readers.case import axial_slices
from pancascade.data.sampling import load_slices
from pancascade.imaging.preprocessing import Canvas, Window
from pancascade.imaging.preprocessing.neighbours import with_neighbours
from pancascade.imaging.volume import Box, Volume
from pancascade.inference.backends.torch_cascade import TorchCascade
from pancascade.inference.runners.slice_batches import BATCH_SLICES
from pancascade.inference.runners.slice_runner import SliceRunner
from pancascade.labels import Label
from pancascade.methods.cascades import Cascade, Located

WINDOW = Window(lower_hu=0, upper_hu=100)
STACK = np.random.default_rng(0).random((7, 3, 4)).astype(np.float32)


def canvas(neighbours=2, neighbour_mm=3.0, **more):
    return Canvas(size=(32, 48), window=WINDOW, neighbours=neighbours, neighbour_mm=neighbour_mm, **more)


def channels(wanted, *, slice_mm, stack=STACK, **of_canvas):
    return with_neighbours(
        lambda index: stack[index], wanted, count=len(stack), slice_mm=slice_mm, canvas=canvas(**of_canvas)
    )


def test_a_canvas_has_a_channel_for_the_slice_and_each_neighbour():
    assert [Canvas(neighbours=n).channels for n in (0, 1, 2, 8)] == [1, 3, 5, 17]


def test_slices_as_far_apart_as_the_neighbours_are_their_neighbours_from_the_feet_up():
    found = channels([3], slice_mm=3.0)
    assert found.shape == (1, 5, 3, 4)
    assert found.dtype == np.float32
    assert np.array_equal(found[0], STACK[1:6])


def test_between_slices_the_channels_are_linear():
    """Slices 4 mm apart, neighbours 3 mm: three quarters of the way to the next, and half way beyond it."""
    found = channels([3], slice_mm=4.0)[0]
    np.testing.assert_allclose(found[3], 0.25 * STACK[3] + 0.75 * STACK[4], rtol=1e-6)
    np.testing.assert_allclose(found[4], 0.5 * STACK[4] + 0.5 * STACK[5], rtol=1e-6)
    np.testing.assert_allclose(found[0], 0.5 * STACK[1] + 0.5 * STACK[2], rtol=1e-6)
    assert np.array_equal(found[2], STACK[3])


def test_beyond_the_ends_the_last_slice_is_repeated():
    assert np.array_equal(channels([0], slice_mm=3.0)[0], STACK[[0, 0, 0, 1, 2]])
    assert np.array_equal(channels([6], slice_mm=3.0)[0], STACK[[4, 5, 6, 6, 6]])
    assert np.array_equal(channels([6], slice_mm=50.0)[0, 2:], STACK[[6, 6, 6]])


def test_a_slice_that_stands_alone_is_repeated():
    assert np.array_equal(channels([4], slice_mm=None)[0], STACK[[4] * 5])
    assert np.array_equal(channels([0], slice_mm=1.0, stack=STACK[:1])[0], STACK[[0] * 5])


def test_without_neighbours_the_slices_come_as_they_are():
    assert np.array_equal(channels([1, 5], slice_mm=2.0, neighbours=0)[:, 0], STACK[[1, 5]])


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=9),
    st.floats(0.4, 12),
    st.integers(0, 4),
    st.floats(0.5, 9),
)
def test_any_slices_in_any_order_get_what_interpolation_along_the_body_gives(wanted, slice_mm, neighbours, apart_mm):
    found = channels(wanted, slice_mm=slice_mm, neighbours=neighbours, neighbour_mm=apart_mm)
    places = np.arange(7) * slice_mm
    for place, stack in zip(wanted, found, strict=True):
        at = places[place] + apart_mm * np.arange(-neighbours, neighbours + 1)
        expected = [[[np.interp(at, places, STACK[:, i, j]) for j in range(4)] for i in range(3)]]
        np.testing.assert_allclose(stack, np.moveaxis(np.array(expected)[0], -1, 0), atol=2e-5)


def test_each_slice_is_drawn_once_while_it_is_needed():
    asked = []
    with_neighbours(lambda index: asked.append(index) or STACK[index], range(7), count=7, slice_mm=3.0, canvas=canvas())
    assert sorted(asked) == list(range(7))


# ── training and inference ──


class Sees(Cascade):
    """Keeps the images that it is shown, finds all of each slice, and answers the middle channel."""

    dimensions, phases, labels = 2, (), (Label.PANCREAS,)

    def __init__(self):
        super().__init__()
        self.located, self.segmented = [], []

    def losses(self, images, labels, *, phase, generator):
        raise NotImplementedError

    def locate(self, images):
        self.located.append(images)
        return self.update_rois(None, torch.ones_like(images[:, :1]))

    def update_rois(self, located, probabilities):
        whole = Box.whole(tuple(probabilities.shape[2:]))
        return Located(probabilities, ((whole,),) * len(probabilities))

    def segment(self, images, located):
        self.segmented.append(images)
        middle = images[:, images.shape[1] // 2 :][:, :1]
        return torch.cat((1 - middle, middle), dim=1)


def scan(slices=2 * BATCH_SLICES + 3, slice_mm=2.5):
    hu = np.random.default_rng(1).integers(0, 101, (48, 32, slices)).astype(np.int16)
    return Volume(hu, np.diag((-1.0, -1.0, slice_mm, 1.0)))


def in_training(volume, sheet):
    labels = volume.with_voxels(np.zeros(volume.shape, np.uint8))
    case = Case("a", "p", "test", lambda: axial_slices(volume, labels, name="a", patient="p"))
    return load_slices([case], sheet).images.float() / 255


@pytest.mark.parametrize("slice_mm", [0.7, 2.5, 3.0, 5.0])
@pytest.mark.parametrize("spacing_mm", [None, 1.3])
def test_inference_shows_the_channels_that_training_showed(slice_mm, spacing_mm):
    volume, sheet, cascade = scan(slice_mm=slice_mm), canvas(spacing_mm=spacing_mm, larger_slices="cut"), Sees()
    engine = SliceRunner(TorchCascade(cascade, torch.device("cpu"), reduced=False), sheet)
    engine.run(volume)
    trained = in_training(volume, sheet)
    assert trained.shape == (volume.shape[2], 5, 32, 48)
    shown = torch.cat(cascade.segmented)
    assert shown.shape == trained.shape
    assert (shown - trained).abs().max() <= 0.5 / 255 + 1e-5
    every = max(1, int(2.0 / slice_mm))
    located = torch.cat(cascade.located)
    seen = sorted({*range(0, volume.shape[2], every), volume.shape[2] - 1})
    assert torch.equal(located, shown[seen])


def test_a_single_slice_is_shown_as_a_picture_was_in_training():
    hu, sheet, cascade = scan(slices=1).voxels[:, :, 0].T, canvas(larger_slices="cut"), Sees()
    answer = SliceRunner(TorchCascade(cascade, torch.device("cpu"), reduced=False), sheet).run_slice(hu, (1.0, 1.0))
    picture = AxialSlice("a", "p", hu, np.zeros(hu.shape, np.uint8), (1.0, 1.0))
    trained = load_slices([Case("a", "p", "test", lambda: [picture])], sheet).images.float() / 255
    assert torch.equal(trained, trained[:, :1].expand(-1, 5, -1, -1))
    assert (cascade.located[0] - trained).abs().max() <= 0.5 / 255 + 1e-5
    np.testing.assert_allclose(answer[1], WINDOW.apply(hu), atol=1e-5)


def test_slices_of_a_scan_tell_training_how_far_they_are_apart_and_an_empty_set_has_its_channels():
    volume = scan(slices=3, slice_mm=4.0)
    labels = volume.with_voxels(np.zeros(volume.shape, np.uint8))
    assert [one.slice_mm for one in axial_slices(volume, labels, name="a", patient="p")] == [4.0] * 3
    assert load_slices([], canvas()).images.shape == (0, 5, 32, 48)
