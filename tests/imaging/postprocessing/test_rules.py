import numpy as np
import pytest
import torch

from pancascade.imaging.postprocessing import decide
from pancascade.labels import Label
from pancascade.methods.cascades.class_probabilities import compose_classes, compose_two_classes


def test_the_papers_rule_is_tumour_from_one_half_of_p2_and_pancreas_from_one_half_of_p1():
    steps = torch.linspace(0, 1, 41)  # 0.5 is among them
    first, second = (p[None, None] for p in torch.meshgrid(steps, steps, indexing="ij"))
    labels = decide(compose_classes(first, second).numpy())
    expected = torch.where(second >= 0.5, 2, torch.where(first >= 0.5, 1, 0))[:, 0]
    assert labels.dtype == np.uint8
    assert np.array_equal(labels, expected.numpy())


def test_with_two_classes_the_pancreas_begins_at_one_half():
    second = torch.tensor([0.0, 0.49, 0.5, 1.0]).view(1, 1, 1, 4)
    assert decide(compose_two_classes(second).numpy()).ravel().tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(("threshold", "expected"), [(0.3, Label.TUMOUR), (0.31, Label.PANCREAS)])
def test_the_tumour_threshold_can_be_moved_and_is_itself_enough(threshold, expected):
    probabilities = np.array([0.1, 0.6, 0.3]).reshape(1, 3, 1, 1)
    assert decide(probabilities, tumour_threshold=threshold).item() == expected


def test_volumes_are_decided_as_slices_are():
    probabilities = torch.rand(2, 3, 4, 5, 6).softmax(dim=1).numpy()
    assert decide(probabilities).shape == (2, 4, 5, 6)
    assert np.array_equal(decide(probabilities)[:, 1], decide(probabilities[:, :, 1]))
