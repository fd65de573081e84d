import pytest
import torch

from pancascade.imaging.volume import Box
from pancascade.methods.cascades.tensor_crops import (
    ABSENT_LOGIT,
    box_around,
    crop_and_resize,
    random_margin,
    resize_and_paste,
)


def test_the_crop_of_the_specification():
    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[30:35, 5:9] = True
    assert box_around(mask, margin=20) == Box((10, 0), (55, 29))


def test_an_empty_mask_has_no_box():
    assert box_around(torch.zeros(8, 8, dtype=torch.bool), margin=3) is None


def test_half_of_the_margins_are_k_and_the_other_sides_are_uniform_up_to_2k():
    generator = torch.Generator().manual_seed(0)
    drawn = [random_margin(20, generator) for _ in range(2000)]
    sides = [side for margin in drawn if not isinstance(margin, int) for pair in margin for side in pair]
    assert 0.45 < sum(margin == 20 for margin in drawn) / 2000 < 0.55
    assert (min(sides), max(sides)) == (0, 40)
    assert sum(sides) / len(sides) == pytest.approx(20, abs=1)
    # Uniform, not only centred: each fifth of 0…40 holds a fifth of the sides.
    for fifth in range(5):
        share = sum(side * 5 // 41 == fifth for side in sides) / len(sides)
        assert share == pytest.approx(0.2, abs=0.03)
    drawn_together = [margin for margin in drawn if not isinstance(margin, int)]
    assert sum(len({side for pair in margin for side in pair}) == 4 for margin in drawn_together) > 700


def test_the_sides_of_a_box_move_by_their_own_margins():
    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[30:35, 25:29] = True
    assert box_around(mask, margin=[(1, 2), (3, 4)]) == Box((29, 22), (37, 33))


@pytest.mark.parametrize("mode", ["bilinear", "nearest-exact"])
def test_a_crop_of_its_own_size_is_the_box(mode):
    images = torch.rand(2, 1, 20, 30)
    boxes = [Box((2, 3), (10, 15)), Box((12, 18), (20, 30))]
    cut = crop_and_resize(images, boxes, (8, 12), mode=mode)
    assert torch.equal(cut[0], images[0, :, 2:10, 3:15])
    assert torch.equal(cut[1], images[1, :, 12:20, 18:30])


def test_pasting_undoes_cropping_of_a_smooth_map():
    rows, columns = torch.meshgrid(torch.linspace(-2, 2, 40), torch.linspace(-1, 3, 60), indexing="ij")
    maps = (rows + columns)[None, None]
    box = Box((5, 8), (37, 52))
    back = resize_and_paste(crop_and_resize(maps, [box], (64, 88)), [box], (40, 60))
    inside = back[0, 0][box.slices]
    assert torch.allclose(inside, maps[0, 0][box.slices], atol=0.05)


def test_nothing_is_likely_outside_the_crop():
    box = Box((4, 6), (10, 12))
    pasted = resize_and_paste(torch.full((1, 1, 8, 8), 9.0), [box], (16, 20))
    outside = torch.ones(16, 20, dtype=torch.bool)
    outside[box.slices] = False
    assert (pasted[0, 0][outside] == ABSENT_LOGIT).all()
    assert torch.sigmoid(pasted)[0, 0][outside].max() == 0
    assert torch.allclose(pasted[0, 0][box.slices], torch.tensor(9.0))


def test_a_crop_carries_gradient_to_the_image_inside_its_box_only():
    image = torch.rand(1, 1, 20, 20, requires_grad=True)
    crop_and_resize(image, [Box((5, 5), (12, 14))], (16, 16)).sum().backward()
    assert image.grad is not None
    assert (image.grad[0, 0, 5:12, 5:14] != 0).all()
    assert image.grad.abs().sum() == image.grad[0, 0, 5:12, 5:14].abs().sum()
