import pytest
import torch

from pancascade.data.sampling import Augmentation, augment
from pancascade.data.sampling.neighbour_changes import change_neighbours
from pancascade.labels import Label


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def smooth(count, *, channels=5, size=(48, 64)):
    """Stacks of smooth slices that differ."""
    coarse = torch.rand(count, channels, 6, 8, generator=seeded(4))
    return torch.nn.functional.interpolate(coarse, size=size, mode="bilinear", align_corners=True)


def alone(count, *, channels=5):
    return smooth(count, channels=1).expand(-1, channels, -1, -1).contiguous()


def changed(images, seed=0, **settings):
    given = images.clone()
    answer = change_neighbours(images, Augmentation(**settings), seeded(seed))
    assert torch.equal(images, given)
    return answer


def same_in_all_channels(images):
    return (images == images[:, :1]).flatten(1).all(dim=1)


@pytest.mark.parametrize("channels", [1, 3])
def test_switched_off_nothing_changes_and_no_random_number_is_taken(channels):
    images, generator = smooth(2, channels=channels), seeded(3)
    settings = Augmentation() if channels > 1 else Augmentation(neighbour_dropout=1, neighbour_warp_pixels=3)
    assert change_neighbours(images, settings, generator) is images
    assert torch.equal(torch.rand(3, generator=generator), torch.rand(3, generator=seeded(3)))


def test_dropped_neighbours_are_the_slice_itself():
    images = smooth(100)
    answer = changed(images, neighbour_dropout=0.3)
    dropped = same_in_all_channels(answer)
    assert 0.2 <= float(dropped.float().mean()) <= 0.4
    assert torch.equal(answer[dropped], images[dropped][:, 2:3].expand(-1, 5, -1, -1))
    assert torch.equal(answer[~dropped], images[~dropped])


def test_slices_that_stand_alone_are_bent_in_half_of_the_images():
    images = alone(100)
    answer = changed(images, neighbour_warp_pixels=2)
    bent = ~same_in_all_channels(answer)
    assert 0.35 <= float(bent.float().mean()) <= 0.65
    assert torch.equal(answer[~bent], images[~bent])


def test_bending_keeps_the_slice_itself():
    images = alone(40)
    answer = changed(images, neighbour_warp_pixels=3)
    assert (answer[:, 2] - images[:, 2]).abs().max() < 1e-4


def test_neighbours_are_bent_more_the_further_they_are_and_both_ways():
    images = alone(100)[:, :, 8:-8, 8:-8]
    answer = changed(images, neighbour_warp_pixels=1)
    bent = ~same_in_all_channels(answer)
    off = (answer - images)[bent][..., 8:-8, 8:-8]
    mean = off.abs().mean(dim=(0, 2, 3))
    assert mean[0] > 1.5 * mean[1] > 0
    assert mean[4] > 1.5 * mean[3] > 0
    # A small displacement forwards and the same one backwards change grey values by opposite amounts.
    assert float((off[:, 1] * off[:, 3]).sum()) < -0.5 * float((off[:, 1] ** 2).sum())


def test_neighbours_that_differ_are_not_bent():
    images = smooth(30)
    assert torch.equal(changed(images, neighbour_warp_pixels=3), images)


def test_dropped_neighbours_may_be_bent_like_those_of_slices_that_stand_alone():
    answer = changed(smooth(60), neighbour_dropout=1, neighbour_warp_pixels=2)
    assert 0.3 <= float(same_in_all_channels(answer).float().mean()) <= 0.7


def test_neighbours_turn_with_their_slice_and_its_labels_stay_with_the_middle_one():
    labels = torch.zeros(4, 48, 64, dtype=torch.uint8)
    labels[:, 15:30, 20:40] = Label.PANCREAS
    images = labels[:, None].float().expand(-1, 5, -1, -1).contiguous()
    settings = Augmentation(rotation_degrees=20, shift_pixels=4, neighbour_warp_pixels=2)
    answer, moved = augment(images, labels, settings=settings, generator=seeded(2))
    inside = answer[:, 2] >= 0.5
    assert float((inside != (moved > 0)).float().mean()) < 0.02
    assert not same_in_all_channels(answer).all()


def test_the_slices_of_a_volume_are_no_neighbours_and_stay_where_they_are():
    volume = torch.rand(1, 1, 12, 10, 5, generator=seeded())
    labels = torch.zeros(1, 12, 10, 5, dtype=torch.uint8)
    settings = Augmentation(neighbour_dropout=1, neighbour_warp_pixels=3)
    answer, _ = augment(volume, labels, settings=settings, generator=seeded(1))
    assert torch.allclose(answer, volume, atol=1e-5)
