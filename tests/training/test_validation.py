import numpy as np
import pytest
import torch
from PIL import Image

from pancascade.data.sampling import SliceSet
from pancascade.labels import Label
from pancascade.training.validation import predict, sample_dice, validate


def slices_with(*label_maps):
    labels = torch.tensor(np.stack(label_maps), dtype=torch.uint8)
    images = torch.zeros(len(labels), 1, *labels.shape[1:], dtype=torch.uint8)
    names = tuple(f"s{i}" for i in range(len(labels)))
    return SliceSet(images, labels, names, names)


def map_of(pancreas=0, tumour=0):
    labels = np.zeros((16, 16), np.uint8)
    labels.flat[:pancreas] = Label.PANCREAS
    labels.flat[pancreas : pancreas + tumour] = Label.TUMOUR
    return labels


class Fixed(torch.nn.Module):
    """Stands for a cascade: says the same of every slice and notes in which mode it was asked."""

    labels = (Label.PANCREAS, Label.TUMOUR)

    def __init__(self, label_map):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.probabilities = torch.nn.functional.one_hot(torch.tensor(label_map).long(), 3).movedim(-1, 0).float()
        self.asked = []

    def locate(self, images):
        self.asked.append((len(images), self.training))
        return len(images)

    def segment(self, images, located):
        return self.probabilities.expand(located, -1, -1, -1)


def test_the_pancreas_is_measured_with_its_tumour_and_only_where_it_is():
    slices = slices_with(map_of(pancreas=6, tumour=4), map_of(), map_of(pancreas=10))
    predicted = torch.tensor(np.stack([map_of(pancreas=10)] * 3))
    assert sample_dice(predicted, slices, Label.PANCREAS) == {"s0": 1.0, "s2": 1.0}
    assert sample_dice(predicted, slices, Label.TUMOUR) == {"s0": 0.0}


@pytest.mark.draws_sheets
def test_validation_averages_the_slices_of_all_sets_in_evaluation_mode(tmp_path):
    cascade = Fixed(map_of(pancreas=10, tumour=10)).train()
    one, other = slices_with(map_of(pancreas=10, tumour=10), map_of(tumour=60)), slices_with(map_of(pancreas=20))
    scores = validate(cascade, [one, other], picture=tmp_path / "sheet.png")
    dice = [1.0, 2 * 20 / 80, 1.0], [1.0, 2 * 10 / 70]
    assert scores == pytest.approx({"pancreas": np.mean(dice[0]), "tumour": np.mean(dice[1])})
    assert cascade.asked == [(2, False), (1, False)]
    assert cascade.training
    with Image.open(tmp_path / "sheet.png") as picture:
        assert np.asarray(picture.convert("RGB")).std() > 5


def test_a_label_that_no_slice_shows_has_no_score():
    assert set(validate(Fixed(map_of(pancreas=4)), [slices_with(map_of(pancreas=5))])) == {"pancreas"}


def test_slices_are_predicted_in_batches_and_in_order():
    cascade = Fixed(map_of())
    found = predict(cascade, slices_with(*[map_of()] * 5), batch_size=2)
    assert [tuple(labels.shape) for labels in found] == [(16, 16)] * 5
    assert [count for count, _ in cascade.asked] == [2, 2, 1]
