import pytest
import torch
from torch.nn import functional

from pancascade.data.sampling import Augmentation, augment

STRONG = Augmentation(
    rotation_degrees=25, scaling=0.2, stretching=0.2, shift_pixels=5, elastic_pixels=2, brightness=0.1, contrast=0.2,
    gamma=0.3, noise=0.05, blur_probability=0.5, mirror_probability=0.5,
)  # fmt: skip
SHAPE_ONLY = Augmentation(rotation_degrees=25, scaling=0.2, stretching=0.2, shift_pixels=5, elastic_pixels=2)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def disc(height=64, width=96, radius=14.0):
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return ((rows - height / 2) ** 2 + (columns - width / 2) ** 2 <= radius**2).to(torch.uint8)


def rim(masks):
    """Pixels whose 3×3 neighbourhood is mixed."""
    floats = masks[:, None].float()
    grown, shrunk = functional.max_pool2d(floats, 3, 1, 1), -functional.max_pool2d(-floats, 3, 1, 1)
    return (grown != shrunk)[:, 0]


def test_no_settings_change_nothing():
    images, labels = torch.rand(3, 1, 20, 28), torch.randint(0, 3, (3, 20, 28), dtype=torch.uint8)
    same, kept = augment(images, labels, settings=Augmentation(), generator=seeded())
    assert torch.allclose(same, images, atol=1e-5)
    assert torch.equal(kept, labels)


def test_image_and_labels_move_together():
    labels = disc().expand(6, -1, -1).contiguous()
    images, moved = augment(labels[:, None].float(), labels, settings=SHAPE_ONLY, generator=seeded(1))
    differing = (images[:, 0] >= 0.5) != (moved > 0)
    assert (moved > 0).flatten(1).sum(1).min() > 200
    assert not torch.equal(moved[0], labels[0])
    assert not (differing & ~rim(moved > 0)).any()


def test_the_same_generator_state_gives_the_same_changes():
    images, labels = torch.rand(2, 1, 32, 32), torch.randint(0, 3, (2, 32, 32), dtype=torch.uint8)
    one = augment(images, labels, settings=STRONG, generator=seeded(4))
    other = augment(images, labels, settings=STRONG, generator=seeded(4))
    third = augment(images, labels, settings=STRONG, generator=seeded(5))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(one[0], third[0])


def test_values_stay_in_the_window_and_labels_stay_labels():
    images, labels = torch.rand(4, 1, 32, 48), 2 * torch.randint(0, 2, (4, 32, 48), dtype=torch.uint8)
    changed, moved = augment(images, labels, settings=STRONG, generator=seeded())
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 1
    assert changed.dtype == torch.float32
    assert moved.dtype == torch.uint8
    assert set(moved.unique().tolist()) == {0, 2}


GREY_VALUES = {"brightness": 0.1, "contrast": 0.3, "gamma": 0.4, "noise": 0.05, "blur_probability": 1}


@pytest.mark.parametrize(("name", "value"), GREY_VALUES.items())
def test_grey_values_change_without_touching_the_labels(name, value):
    images, labels = torch.rand(2, 1, 24, 32), torch.randint(0, 3, (2, 24, 32), dtype=torch.uint8)
    changed, kept = augment(images, labels, settings=Augmentation(**{name: value}), generator=seeded())
    assert (changed - images).abs().max() > 0.005
    assert torch.equal(kept, labels)


def test_images_of_a_batch_change_each_in_its_own_way():
    labels = disc().expand(2, -1, -1).contiguous()
    images, moved = augment(labels[:, None].float(), labels, settings=SHAPE_ONLY, generator=seeded())
    assert not torch.equal(moved[0], moved[1])
    assert not torch.equal(images[0], images[1])


def test_shifts_are_in_pixels_of_both_axes():
    labels = disc(48, 128, 8).expand(64, -1, -1).contiguous()
    _, moved = augment(labels[:, None].float(), labels, settings=Augmentation(shift_pixels=6), generator=seeded())
    centres = torch.stack([torch.nonzero(one).float().mean(0) for one in moved])
    shifts = (centres - torch.nonzero(labels[0]).float().mean(0)).abs().amax(0)
    assert shifts.tolist() == pytest.approx([6, 6], abs=0.6)


def test_what_comes_in_from_outside_the_image_is_black_background():
    images, labels = torch.ones(4, 1, 32, 32), torch.ones(4, 32, 32, dtype=torch.uint8)
    changed, moved = augment(images, labels, settings=Augmentation(shift_pixels=10), generator=seeded(1))
    outside = moved == 0
    assert outside.flatten(1).any(1).all()
    assert changed[:, 0][outside & ~rim(outside)].max() == 0


def test_rotation_of_an_image_that_is_not_square_shears_nothing():
    labels = disc().expand(8, -1, -1).contiguous()
    settings = Augmentation(rotation_degrees=60)
    _, moved = augment(labels[:, None].float(), labels, settings=settings, generator=seeded(2))
    for one in moved:
        rows, columns = torch.nonzero(one, as_tuple=True)
        height, width = int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1
        assert int(one.sum()) == pytest.approx(int(labels[0].sum()), rel=0.03)
        assert abs(height - width) <= 2
        places = torch.stack((rows, columns)).double()
        spread = torch.linalg.eigvalsh(torch.cov(places))
        assert float(spread[1] / spread[0]) < 1.06
        assert places.mean(1).tolist() == pytest.approx([31.5, 47.5], abs=0.3)


def test_scaling_keeps_within_its_limits():
    labels = disc().expand(64, -1, -1).contiguous()
    settings = Augmentation(scaling=0.25)
    _, moved = augment(labels[:, None].float(), labels, settings=settings, generator=seeded(3))
    factors = (moved.flatten(1).sum(1) / labels[0].sum()).sqrt()
    assert 0.78 <= float(factors.min()) < 0.9
    assert 1.1 < float(factors.max()) <= 1.27


def test_a_certain_mirror_turns_left_to_right():
    images, labels = torch.rand(2, 1, 16, 24), torch.randint(0, 2, (2, 16, 24), dtype=torch.uint8)
    settings = Augmentation(mirror_probability=1)
    turned, moved = augment(images, labels, settings=settings, generator=seeded())
    assert torch.allclose(turned, images.flip(-1), atol=1e-5)
    assert torch.equal(moved, labels.flip(-1))
