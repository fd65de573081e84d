"""What slices show, and how sharply: contents of the gut, phases, resolution."""

import pytest
import torch

from pancascade.data.sampling import Augmentation, augment
from pancascade.data.sampling.appearance import change_contents, change_sharpness
from pancascade.labels import HELPERS_UNKNOWN, HelperOrgan, Label


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def slices(count=8, *, channels=1, size=(96, 128)):
    """Soft tissue, with a pancreas and a tumour in it, and a liver beside."""
    images = torch.full((count, channels, *size), 0.4)
    images += 0.1 * torch.rand(count, channels, *size, generator=seeded(9))
    labels = torch.full((count, *size), HELPERS_UNKNOWN, dtype=torch.uint8)
    labels[:, 30:50, 40:80] = Label.PANCREAS
    labels[:, 40:50, 60:70] = Label.TUMOUR
    labels[:, 60:80, 10:50] = HelperOrgan.LIVER
    return images, labels


def contents(images, labels, *, seed=0, **settings):
    given, before = images.clone(), seeded(seed)
    changed = change_contents(images, stacked=labels[:, None], settings=Augmentation(**settings), generator=before)
    assert torch.equal(images, given)
    return changed


def target_of(labels):
    return ((labels == Label.PANCREAS) | (labels == Label.TUMOUR))[:, None]


def test_gut_is_filled_in_as_many_images_as_are_asked_for():
    images, labels = slices(200, size=(32, 48))
    changed = contents(images, labels, gut_probability=0.4)
    share = (changed != images).flatten(1).any(dim=1).float().mean()
    assert 0.3 <= float(share) <= 0.5
    assert (contents(images, labels, gut_probability=1) != images).flatten(1).any(dim=1).all()


def test_gut_never_touches_the_target_nor_what_lies_right_beside_it():
    images, labels = slices(40, channels=5)
    changed = contents(images, labels, gut_probability=1)
    touched = (changed != images).any(dim=1, keepdim=True)
    near = torch.nn.functional.max_pool2d(target_of(labels).float(), 7, 1, 3) > 0
    assert not (touched & near).any()
    liver = (labels == HelperOrgan.LIVER)[:, None]
    assert (touched & liver).any()


def test_gut_is_bright_contrast_more_often_than_gas_and_lies_alike_in_all_neighbours():
    images, labels = slices(60, channels=3)
    images = images[:, :1].expand(-1, 3, -1, -1)
    changed = contents(images, labels, gut_probability=1)
    moved = changed - images
    assert torch.equal(moved[:, :1].expand_as(moved), moved)
    strongest = moved[:, 0].flatten(1)
    sign = strongest.gather(1, strongest.abs().argmax(dim=1, keepdim=True))
    assert 0.55 <= float((sign > 0).float().mean()) <= 0.9
    assert float(changed.max()) > 0.9
    assert float(changed.min()) < 0.05
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 1


@pytest.mark.parametrize("grey", [0.0, 1.0])
def test_gut_replaces_soft_tissue_only(grey):
    """Air, fat at the lower end of the window, and bone stay."""
    images, labels = slices(20)
    assert torch.equal(
        contents(torch.full_like(images, grey), labels, gut_probability=1), torch.full_like(images, grey)
    )


def test_the_target_changes_its_grey_value_alone_by_at_most_the_limit():
    images, labels = slices(60)
    changed = contents(images, labels, target_shift=0.1)
    moved = (changed - images)[:, 0]
    inside = target_of(labels)[:, 0]
    inner = -torch.nn.functional.max_pool2d(-inside.float(), 5, 1, 2) > 0
    outside = torch.nn.functional.max_pool2d(inside.float(), 5, 1, 2) == 0
    assert not moved[outside].any()
    each = torch.stack([one[where].mean() for one, where in zip(moved, inner, strict=True)])
    assert 0.08 < float(each.abs().max()) <= 0.1
    assert float(each.min()) < -0.05
    assert float(each.max()) > 0.05
    spread = torch.stack([one[where].std() for one, where in zip(moved, inner, strict=True)])
    assert float(spread.max()) < 1e-5


def test_slices_without_target_have_nothing_to_shift():
    images, labels = slices()
    assert torch.equal(contents(images, torch.zeros_like(labels), target_shift=0.2), images)


def detail(images):
    """Mean difference of neighbouring pixels of each image."""
    return (images[..., 1:] - images[..., :-1]).abs().flatten(1).mean(dim=1)


def sharpness(images, **settings):
    return change_sharpness(images.clone(), Augmentation(**settings), seeded(1))


def test_resolution_is_lost_in_as_many_images_as_are_asked_for():
    images = torch.rand(60, 3, 32, 48, generator=seeded())
    changed = sharpness(images, coarse_probability=0.5)
    touched = (changed != images).flatten(1).any(dim=1)
    assert 0.35 <= float(touched.float().mean()) <= 0.65
    assert (detail(changed)[touched] < detail(images)[touched]).all()
    assert torch.equal(changed[~touched], images[~touched])


def test_an_image_without_detail_stays_what_it_is_and_where_it_is():
    rows = torch.linspace(0, 1, 48).view(1, 1, 48, 1).expand(4, 1, 48, 64)
    assert (sharpness(rows, coarse_probability=1) - rows).abs().max() < 0.04
    even = torch.full((4, 1, 48, 64), 0.3)
    assert torch.allclose(sharpness(even, coarse_probability=1, sharp_probability=1), even, atol=1e-6)


def test_edges_are_enhanced_within_the_window():
    images = torch.rand(60, 1, 32, 48, generator=seeded())
    changed = sharpness(images, sharp_probability=0.5)
    touched = (changed != images).flatten(1).any(dim=1)
    assert 0.35 <= float(touched.float().mean()) <= 0.65
    assert (detail(changed)[touched] > detail(images)[touched]).all()
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 1


NEW = ("gut_probability", "target_shift", "coarse_probability", "sharp_probability", "neighbour_dropout",
       "neighbour_warp_pixels")  # fmt: skip


@pytest.mark.parametrize("channels", [1, 5])
def test_switched_off_the_changes_leave_images_and_randomness_as_they_were(channels):
    """The values are what `augment` gave before it knew these changes."""
    old = Augmentation(
        rotation_degrees=25, scaling=0.2, stretching=0.2, shift_pixels=5, elastic_pixels=2, brightness=0.1,
        contrast=0.2, gamma=0.3, noise=0.05, blur_probability=0.5, mirror_probability=0.5,
    )  # fmt: skip
    images = torch.arange(2 * channels * 24 * 32).view(2, channels, 24, 32).float() % 97 / 97
    labels = (torch.arange(2 * 24 * 32).view(2, 24, 32) % 3).to(torch.uint8)
    generator = seeded(7)
    changed, moved = augment(images, labels, settings=old, generator=generator)
    before = {
        1: ([0.427973, 0.357959, 0.315627, 0.341180], [528049829, 5409524]),
        5: ([0.368286, 0.304718, 0.298092, 0.269607], [10009052, 532583610]),
    }
    pixels, next_numbers = before[channels]
    assert changed[1, 0, 11, 10:14].tolist() == pytest.approx(pixels, abs=1e-3)
    assert torch.randint(0, 10**9, (2,), generator=generator).tolist() == next_numbers
    assert int(moved.sum()) == 1366


@pytest.mark.parametrize("name", NEW)
def test_each_change_is_off_at_zero_and_takes_no_random_numbers(name):
    images, labels = slices(2, channels=3)
    settings, generator = Augmentation(**{name: 0}), seeded(3)
    assert change_contents(images, stacked=labels[:, None], settings=settings, generator=generator) is images
    assert torch.equal(change_sharpness(images.clone(), settings, generator), images)
    assert torch.equal(torch.rand(3, generator=generator), torch.rand(3, generator=seeded(3)))


def test_labels_stay_labels_whatever_the_slices_show():
    images, labels = slices(4)
    settings = Augmentation(
        gut_probability=1, target_shift=0.2, coarse_probability=1, sharp_probability=1, rotation_degrees=20
    )
    changed, moved = augment(images, labels, settings=settings, generator=seeded())
    known = {0, Label.PANCREAS, Label.TUMOUR, HelperOrgan.LIVER, HELPERS_UNKNOWN}
    assert set(moved.unique().tolist()) <= known
    assert HELPERS_UNKNOWN in moved
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1


def test_gut_of_a_volume_stays_out_of_its_organ_in_every_slice():
    images = torch.full((1, 1, 40, 32, 6), 0.4)
    labels = torch.zeros(1, 40, 32, 6, dtype=torch.uint8)
    labels[:, 10:30, 10:25, 2:4] = Label.PANCREAS
    changed, _ = augment(images, labels, settings=Augmentation(gut_probability=1), generator=seeded(1))
    touched = (changed - images).abs()[0, 0] > 1e-4
    assert touched.any()
    assert not touched[10:30, 10:25].any()
