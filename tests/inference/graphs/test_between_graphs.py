"""What lies between the networks of a cascade of graphs, with networks whose answer is known."""

import numpy as np
import pytest

from pancascade.inference.backends.runnable_cascade import Handover
from pancascade.inference.graphs.map_arrays import sigmoid
from pancascade.inference.graphs.one_network_graph import OneNetworkGraph
from pancascade.inference.graphs.two_stage_graphs import TwoStageGraphs, TwoStageSettings
from pancascade.labels import Label

SIZE = (32, 48)


def two_stages(networks=None, **options):
    chosen = {"kind": "qiu2024", "margin": 4, "crop_size": (16, 16), "first_scale": 1.0, **options}
    return TwoStageGraphs(networks or {}, lambda exact: {}, TwoStageSettings(**chosen))


def boxes_of(probabilities, **options):
    graphs = two_stages(**options)
    return graphs.from_mask(np.zeros_like(probabilities), probabilities).boxes


def test_a_probability_of_one_half_is_found_and_less_is_not():
    probabilities = np.zeros((2, 1, *SIZE), np.float32)
    probabilities[0, 0, 10:20, 12:30], probabilities[1, 0, 10:20, 12:30] = 0.5, 0.4999
    (box,), none = boxes_of(probabilities)
    assert (box.start, box.stop) == ((6, 8), (24, 34))
    assert none == ()


def test_a_box_with_its_margin_ends_with_the_image():
    probabilities = np.zeros((2, 1, *SIZE), np.float32)
    probabilities[0, 0, 2:6, 3:9], probabilities[1, 0, 25:31, 40:47] = 0.9, 0.9
    found = [(box.start, box.stop) for (box,) in boxes_of(probabilities)]
    assert found == [((0, 0), (10, 13)), ((21, 36), SIZE)]


def test_presence_is_the_map_after_those_of_the_other_organs():
    maps = np.full((1, 4, *SIZE), 9.0, np.float32)
    maps[:, 1], maps[:, 2], maps[:, 3] = -9, 9, 0
    graphs = two_stages({"first": lambda images: (maps,)}, helper_organs=("liver", "spleen"), presence=True)
    located = graphs.locate(np.zeros((1, 1, *SIZE), np.float32))
    np.testing.assert_allclose(located.probabilities, 0.5, atol=1e-3)


def test_every_image_is_weighted_by_its_own_map():
    seen = []

    def second(crops):
        seen.append(crops)
        return (np.zeros_like(crops),)

    graphs = two_stages({"saliency": lambda first: (first,), "second": second}, handover="saliency", margin=0)
    first = np.stack([np.full((1, *SIZE), value, np.float32) for value in (0.1, 0.2, 0.6, 0.8)])
    located = graphs.from_mask(first, first)
    graphs.segment(np.ones_like(first), Handover(first, located.boxes))
    (crops,) = seen
    np.testing.assert_allclose(crops.mean(axis=(1, 2, 3)), [0.6, 0.8], atol=1e-6)


@pytest.mark.parametrize(("scale", "size"), [(0.1, (16, 16)), (0.5, (16, 32)), (2.0, (64, 96)), (1.0, SIZE)])
def test_a_network_sees_multiples_of_16_and_no_fewer_than_16_averaged_pixels(scale, size):
    seen = []

    def network(images):
        seen.append(images)
        return (images,)

    graphs = OneNetworkGraph({"network": network}, lambda exact: {}, (Label.PANCREAS,), scale)
    images = np.zeros((1, 1, *SIZE), np.float32)
    images[..., ::4, :] = 4.0
    found = graphs.segment(images, graphs.locate(images))
    assert found.shape == (1, 2, *SIZE)
    assert seen[0].shape[2:] == size
    if scale == 0.1:
        assert seen[0].std() < 0.7, "anti-aliased: each row is a mean of several"


def test_logits_of_any_size_are_probabilities():
    assert sigmoid(np.array([-1e4, 0, 1e4], np.float32)).tolist() == [pytest.approx(0, abs=1e-30), 0.5, 1]
