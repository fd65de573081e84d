import numpy as np
import torch

from pancascade.data.readers import AxialSlice, Case
from pancascade.data.sampling import Augmentation, contains, draw_batches, load_slices
from pancascade.imaging.preprocessing import Canvas, Window
from pancascade.labels import Label

CANVAS = Canvas(size=(32, 48), window=Window(lower_hu=0, upper_hu=100))


def cases(count, *, first_label=1, prefix="s"):
    def read(index):
        hu = np.full((32, 48), index, np.int16)
        labels = np.zeros((32, 48), np.uint8)
        labels[4:8, 4:8] = first_label if index % 2 else 0
        return [AxialSlice(f"{prefix}{index}", f"p{index // 2}", hu, labels, None)]

    return [Case(f"{prefix}{i}", f"p{i // 2}", "test", lambda i=i: read(i)) for i in range(count)]


def dealt(slices, counts, *, batch_size=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return list(
        draw_batches(slices, counts=counts, batch_size=batch_size, augmentation=Augmentation(), generator=generator)
    )


def test_slices_are_read_onto_the_canvas_with_names_and_patients():
    slices = load_slices(cases(4), CANVAS)
    assert slices.images.shape == (4, 1, 32, 48)
    assert slices.names == ("s0", "s1", "s2", "s3")
    assert slices.patients == ("p0", "p0", "p1", "p1")
    batch = slices.batch([3])
    assert torch.allclose(batch.images, torch.full((1, 1, 32, 48), 0.03), atol=1 / 255)


def test_images_and_labels_lie_on_the_canvas_at_its_spacing():
    hu, labels = np.zeros((24, 60), np.int16), np.zeros((24, 60), np.uint8)
    hu[8:16, 20:40], labels[8:16, 20:40] = 100, Label.TUMOUR
    case = Case("a", "p", "test", lambda: [AxialSlice("a", "p", hu, labels, (2.0, 0.5))])
    slices = load_slices([case], Canvas(size=(64, 48), spacing_mm=1.0, window=CANVAS.window))
    expected = torch.zeros(64, 48, dtype=torch.uint8)
    expected[24:40, 19:29] = Label.TUMOUR
    assert torch.equal(slices.labels[0], expected)
    assert torch.equal(slices.images[0, 0] >= 128, expected > 0)


def test_a_rule_selects_slices_by_their_labels():
    slices = load_slices(cases(4, first_label=Label.TUMOUR), CANVAS)
    kept = slices.select(contains(Label.TUMOUR))
    assert (kept.names, kept.patients) == (("s1", "s3"), ("p0", "p1"))
    assert torch.equal(kept.images, slices.images[[1, 3]])
    assert torch.equal(kept.labels, slices.labels[[1, 3]])
    assert slices.select(contains(Label.PANCREAS)).names == ()
    assert slices.select(contains(Label.PANCREAS, Label.TUMOUR)).names == ("s1", "s3")
    assert len(slices.select(lambda labels: not labels.any())) == 2


def test_every_slice_comes_once_before_any_comes_again():
    slices = load_slices(cases(5), CANVAS)
    names = [name for batch in dealt([slices], [10], batch_size=5) for name in batch.names]
    assert sorted(names) == sorted(slices.names * 2)
    for seed in range(5):
        names = [name for batch in dealt([slices], [8], batch_size=4, seed=seed) for name in batch.names]
        assert sorted(names.count(name) for name in slices.names) == [1, 1, 2, 2, 2]


def test_each_set_gives_its_count():
    one, other = load_slices(cases(3, prefix="a"), CANVAS), load_slices(cases(4, prefix="b"), CANVAS)
    batches = dealt([one, other], [2, 6], batch_size=4)
    names = [name for batch in batches for name in batch.names]
    assert [sum(name.startswith(prefix) for name in names) for prefix in "ab"] == [2, 6]


def test_a_batch_s_pictures_are_those_of_its_names():
    slices = load_slices(cases(6), CANVAS)
    for batch in dealt([slices], [6], batch_size=3):
        where = [slices.names.index(name) for name in batch.names]
        assert torch.allclose(batch.images, slices.images[where] / 255, atol=1e-5)
        assert torch.equal(batch.labels, slices.labels[where])


def test_dealing_changes_slices_at_random_but_not_the_set():
    slices = load_slices(cases(4), CANVAS)
    before = slices.images.clone()
    generator = torch.Generator().manual_seed(0)
    settings = Augmentation(brightness=0.3)
    batches = draw_batches([slices], counts=[4], batch_size=4, augmentation=settings, generator=generator)
    (batch,) = batches
    where = [slices.names.index(name) for name in batch.names]
    assert (batch.images - slices.images[where] / 255).abs().max() > 0.02
    assert torch.equal(slices.images, before)


def test_a_lonely_last_slice_is_left_out_for_batch_normalisation():
    slices = load_slices(cases(5), CANVAS)
    assert [len(batch.names) for batch in dealt([slices], [5], batch_size=2)] == [2, 2]
    assert [len(batch.names) for batch in dealt([slices], [5], batch_size=3)] == [3, 2]
    assert [len(batch.names) for batch in dealt([slices], [5], batch_size=1)] == [1] * 5


def test_the_same_seed_deals_the_same_batches():
    slices = load_slices(cases(6), CANVAS)
    one, same, other = (dealt([slices], [6], seed=seed) for seed in (1, 1, 2))
    assert [b.names for b in one] == [b.names for b in same]
    assert [b.names for b in one] != [b.names for b in other]
