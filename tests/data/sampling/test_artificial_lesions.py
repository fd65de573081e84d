"""Lesions painted into healthy pancreata."""

import pytest
import torch

from pancascade.data.sampling import Augmentation, augment
from pancascade.data.sampling.artificial_lesions import LARGEST_RADIUS, add_lesions
from pancascade.labels import HELPERS_UNKNOWN, Label

PANCREAS, BESIDE = 0.55, 0.1


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def slices(count=20, *, channels=1, size=(96, 128)):
    """Fat, with a pancreas in it; neighbours differ a little."""
    labels = torch.full((count, 1, *size), HELPERS_UNKNOWN, dtype=torch.uint8)
    labels[:, :, 30:60, 40:90] = Label.PANCREAS
    images = torch.full((count, channels, *size), BESIDE)
    images[:, :, 30:60, 40:90] = PANCREAS
    return images + 0.02 * torch.rand(images.shape, generator=seeded(9)), labels


def with_lesions(images, labels, *, probability=1.0, seed=0):
    before = images.clone(), labels.clone()
    result = add_lesions(images, labels, probability=probability, generator=seeded(seed))
    assert torch.equal(images, before[0])
    assert torch.equal(labels, before[1])
    return result


def test_lesions_are_painted_in_as_many_images_as_are_asked_for():
    images, labels = slices(200)
    _, marked = with_lesions(images, labels, probability=0.35)
    share = (marked == Label.TUMOUR).flatten(1).any(dim=1).float().mean()
    assert 0.25 <= float(share) <= 0.45


def test_a_lesion_is_darker_than_the_pancreas_and_labelled_where_it_is_painted():
    images, labels = slices(60)
    changed, marked = with_lesions(images, labels)
    for before, after, label in zip(images[:, 0], changed[:, 0], marked[:, 0], strict=True):
        lesion = label == Label.TUMOUR
        assert lesion.any()
        inside = lesion & (before > 0.5)
        assert float(after[inside].mean()) < float(before[inside].mean()) - 0.02
        assert float(after.max()) < PANCREAS + 0.1  # the organ's edge leaves no bright rim
        far = torch.nn.functional.max_pool2d(lesion[None].float(), 21, 1, 10)[0] == 0
        assert float((after - before)[far].abs().max()) < 0.05


def test_lesions_lie_at_the_pancreas_and_have_many_sizes():
    images, labels = slices(150)
    changed, marked = with_lesions(images, labels)
    near = torch.nn.functional.max_pool2d((labels == Label.PANCREAS).float(), 7, 1, 3) > 0
    assert not ((changed != images) & ~near).any()
    assert not ((marked == Label.TUMOUR) & ~near).any()
    pixels = (marked == Label.TUMOUR).flatten(1).sum(dim=1)
    assert int((pixels < 60).sum()) > 20
    assert int((pixels > 250).sum()) > 20
    assert int(pixels.max()) < 4 * LARGEST_RADIUS**2
    only_pancreas_before = labels == Label.PANCREAS
    assert ((marked == labels) | (marked == Label.TUMOUR)).all()
    assert ((marked == Label.TUMOUR) & only_pancreas_before).flatten(1).any(dim=1).all()


def test_a_lesion_is_smaller_in_neighbours_and_equal_in_neighbours_that_only_repeat_the_slice():
    images, labels = slices(60, channels=5)
    changed, _ = with_lesions(images, labels)
    sizes = ((changed - images).abs() > 0.03).flatten(2).sum(dim=2)
    assert float(sizes[:, 2].float().mean()) > float(sizes[:, 1].float().mean()) > float(sizes[:, 0].float().mean())
    alone = images[:, :1].expand(-1, 5, -1, -1)
    repeated, _ = with_lesions(alone, labels)
    assert torch.equal(repeated, repeated[:, :1].expand_as(repeated))
    assert not torch.equal(repeated, alone)


@pytest.mark.parametrize("there", [Label.TUMOUR, Label.BACKGROUND])
def test_slices_with_a_tumour_or_without_pancreas_stay(there):
    images, labels = slices(10)
    if there == Label.TUMOUR:
        labels[:, :, 40:45, 50:55] = Label.TUMOUR
    else:
        labels[:] = Label.BACKGROUND
    changed, marked = with_lesions(images, labels)
    assert torch.equal(changed, images)
    assert torch.equal(marked, labels)


def test_in_a_volume_every_slice_gets_its_own_labels():
    images, labels = slices(12, channels=9)
    labels = labels.expand(-1, 9, -1, -1).clone()
    changed, marked = with_lesions(images, labels)
    pixels = (marked == Label.TUMOUR).flatten(2).sum(dim=2)
    assert (pixels.amax(dim=1) > pixels.amin(dim=1)).all()
    without = (pixels == 0)[:, :, None, None]
    assert float(((changed - images).abs() * without).max()) < PANCREAS


def test_the_same_seed_paints_the_same_and_no_probability_takes_nothing_from_the_generator():
    images, labels = slices(8)
    first, second = with_lesions(images, labels, seed=3), with_lesions(images, labels, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    used = seeded(5)
    add_lesions(images, labels, probability=0, generator=used)
    assert torch.equal(used.get_state(), seeded(5).get_state())


@pytest.mark.parametrize("volumes", [False, True])
def test_the_setting_reaches_training(volumes):
    images, labels = slices(6, channels=5)
    if volumes:
        images = images.permute(0, 3, 2, 1)[:, None]
        labels = labels.expand(-1, 5, -1, -1).permute(0, 3, 2, 1)
    else:
        labels = labels[:, 0]
    _, marked = augment(images, labels, settings=Augmentation(lesion_probability=1), generator=seeded())
    assert marked.shape == labels.shape
    assert (marked == Label.TUMOUR).flatten(1).any(dim=1).all()
