import numpy as np
import torch

from pancascade.datasets import AxialSlice, Case
from pancascade.labels import Label
from pancascade.preprocessing import Canvas, Window
from pancascade.sampling import Augmentation, contains, deal, load_slices

CANVAS = Canvas(size=(32, 48), window=Window(lower_hu=0, upper_hu=100))


def cases(count, *, first_label=1):
    def read(index):
        hu = np.full((32, 48), index, np.int16)
        labels = np.zeros((32, 48), np.uint8)
        labels[4:8, 4:8] = first_label if index % 2 else 0
        return [AxialSlice(f"s{index}", f"p{index // 2}", hu, labels, None)]

    return [Case(f"s{i}", f"p{i // 2}", "test", lambda i=i: read(i)) for i in range(count)]


def dealt(slices, counts, *, batch_size=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return list(deal(slices, counts=counts, batch_size=batch_size, augmentation=Augmentation(), generator=generator))


def test_slices_are_read_onto_the_canvas_with_names_and_patients():
    slices = load_slices(cases(4), CANVAS)
    assert slices.images.shape == (4, 1, 32, 48)
    assert slices.names == ("s0", "s1", "s2", "s3")
    assert slices.patients == ("p0", "p0", "p1", "p1")
    batch = slices.batch([3])
    assert torch.allclose(batch.images, torch.full((1, 1, 32, 48), 0.03), atol=1 / 255)


def test_a_rule_selects_slices_by_their_labels():
    slices = load_slices(cases(4, first_label=Label.TUMOUR), CANVAS)
    assert slices.select(contains(Label.TUMOUR)).names == ("s1", "s3")
    assert slices.select(contains(Label.PANCREAS)).names == ()


def test_every_slice_comes_once_before_any_comes_again():
    slices = load_slices(cases(5), CANVAS)
    names = [name for batch in dealt([slices], [10], batch_size=5) for name in batch.names]
    assert sorted(names) == sorted(slices.names * 2)


def test_each_set_gives_its_count():
    one, other = load_slices(cases(3), CANVAS), load_slices(cases(8), CANVAS).select(contains(Label.PANCREAS))
    names = [name for batch in dealt([one, other], [2, 6], batch_size=4) for name in batch.names]
    assert len(names) == 8


def test_a_lonely_last_slice_is_left_out_for_batch_normalisation():
    slices = load_slices(cases(5), CANVAS)
    assert [len(batch.names) for batch in dealt([slices], [5], batch_size=2)] == [2, 2]
    assert [len(batch.names) for batch in dealt([slices], [5], batch_size=1)] == [1] * 5


def test_the_same_seed_deals_the_same_batches():
    slices = load_slices(cases(6), CANVAS)
    one, same, other = (dealt([slices], [6], seed=seed) for seed in (1, 1, 2))
    assert [b.names for b in one] == [b.names for b in same]
    assert [b.names for b in one] != [b.names for b in other]
