import math

import pytest
import torch
from torch.nn import functional

from pancascade.labels import Label
from pancascade.methods.cascades import LSNet, LSNetSettings
from pancascade.methods.cascades.located_regions import LocatedRegions
from pancascade.methods.losses.focal import focal_dice_loss
from pancascade.methods.losses.keypoint_targets import find_keypoints, keypoint_targets
from pancascade.methods.networks import NetworkSettings
from pancascade.methods.networks.localization_net import Localization

SIZE = (96, 128)


def tiny(**options):
    torch.manual_seed(0)
    return LSNet(
        LSNetSettings(
            first=NetworkSettings(name="localization_net", preset="tiny"),
            second=NetworkSettings(name="resnet_unet", preset="tiny"),
            **options,
        )
    )


@pytest.fixture
def batch():
    labels = torch.zeros(2, *SIZE, dtype=torch.uint8)
    labels[0, 20:44, 40:72] = Label.PANCREAS
    labels[1, 50:80, 30:90] = Label.PANCREAS
    labels[1, 60:70, 60:70] = Label.TUMOUR
    return torch.rand(2, 1, *SIZE, generator=torch.Generator().manual_seed(1)), labels


def steps(cascade, batch, seed=0):
    return cascade.losses(*batch, phase="alternate", generator=torch.Generator().manual_seed(seed))


def gradients(module):
    return [p.grad for p in module.parameters() if p.grad is not None]


def total(losses):
    return torch.stack(list(losses.values())).sum()


def test_the_first_step_teaches_the_localization_network_only(batch):
    cascade = tiny()
    losses = next(steps(cascade, batch))
    assert set(losses) == {"heatmap", "box"}
    total(losses).backward()
    assert gradients(cascade.first)
    assert not gradients(cascade.second)


def second_step_gradient(batch, **options):
    cascade = tiny(**options)
    both = steps(cascade, batch)
    next(both)
    losses = next(both)
    assert set(losses) == {"segmentation"}
    total(losses).backward()
    assert gradients(cascade.second)
    return cascade


def test_the_second_step_reaches_the_box_head_through_the_sampling_grid_but_no_keypoint(batch):
    cascade = second_step_gradient(batch, gamma=0.1)
    assert any(bool(grad.any()) for grad in gradients(cascade.first.distance_head))
    assert not gradients(cascade.first.keypoint_head)
    assert next(steps(cascade, batch), None) is not None


def test_the_gradient_of_the_box_head_is_the_decay_factor_times_the_whole(batch):
    whole, tenth = (second_step_gradient(batch, gamma=gamma).first.distance_head for gamma in (1.0, 0.1))
    assert max(float(grad.abs().max()) for grad in gradients(whole)) > 1e-5
    for one, other in zip(gradients(whole), gradients(tenth), strict=True):
        # Biases before a normalisation have no gradient but rounding.
        assert torch.allclose(0.1 * one, other, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("options", [{"gamma": 0.0}, {"handover": "cropping"}])
def test_without_decay_factor_or_with_cropping_stage_2_teaches_stage_1_nothing(batch, options):
    assert all(not bool(grad.any()) for grad in gradients(second_step_gradient(batch, **options).first))


def test_a_stopped_gradient_reaches_the_box_head_by_the_sampled_image_alone(batch):
    through, stopped = (
        gradients(second_step_gradient(batch, target_gradient=how).first.distance_head)
        for how in ("through", "stopped")
    )
    assert any(bool(grad.any()) for grad in stopped)
    assert not all(torch.allclose(one, other, rtol=0.01) for one, other in zip(through, stopped, strict=True))


def test_a_training_region_is_seen_from_one_of_the_highest_cells():
    cascade = tiny(candidates=2, margin=0)
    heatmap = torch.full((1, 1, 24, 32), -5.0)
    heatmap[0, 0, 6, 10], heatmap[0, 0, 15, 20], heatmap[0, 0, 3, 3] = 2.0, 1.0, 0.5
    found = Localization(heatmap, torch.full((1, 4, 24, 32), 8.0))
    seen = set()
    for seed in range(12):
        generator = torch.Generator().manual_seed(seed)
        (theta,) = cascade._training_regions(found, torch.zeros(1, 1, *SIZE), generator)
        x, y = (float(side * (theta[axis, 2] + 1) / 2) for axis, side in ((0, SIZE[1]), (1, SIZE[0])))
        seen.add((round(x, 3), round(y, 3)))
    assert seen == {(4 * 10 + 2, 4 * 6 + 2), (4 * 20 + 2, 4 * 15 + 2)}


def test_each_iteration_yields_two_steps(batch):
    assert len(list(steps(tiny(), batch))) == 2


def answer(cascade, monkeypatch, *, cells, distances):
    """Let L-Net mark these cells (x, y) of the first image, with one distance (l, t, r, b) for all."""
    heatmap = torch.full((1, 1, SIZE[0] // 4, SIZE[1] // 4), -9.0)
    for x, y in cells:
        heatmap[0, 0, y, x] = 9.0
    maps = torch.tensor(distances).view(1, 4, 1, 1).expand(1, 4, *heatmap.shape[2:])
    monkeypatch.setattr(cascade, "localize", lambda images: Localization(heatmap, maps))
    return cascade.eval()


def test_regions_are_the_boxes_seen_from_the_keypoints(monkeypatch):
    cascade = answer(tiny(margin=5), monkeypatch, cells=[(12, 15)], distances=(10.0, 8.0, 20.0, 12.0))
    located = cascade.locate(torch.zeros(1, 1, *SIZE))
    ((box,),) = located.boxes
    # The cell looks from (50, 62).
    assert (box.start, box.stop) == ((62 - 8 - 5, 50 - 10 - 5), (62 + 12 + 5, 50 + 20 + 5))
    (theta,) = located.regions
    assert theta[0, 0, 0] == pytest.approx((30 + 10) / SIZE[1])
    assert theta[0, 1, 1] == pytest.approx((20 + 10) / SIZE[0])


def ideal(cascade, monkeypatch):
    """Let L-Net answer exactly its training targets of a bright object."""

    def localize(images):
        targets = keypoint_targets((images > 0.5).float())
        return Localization(torch.logit(targets.heatmap, eps=1e-6), targets.distances)

    monkeypatch.setattr(cascade, "localize", localize)
    return cascade.eval()


@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (0, 1), (2, 3), (3, 1), (-1, -2), (5, -7)])
def test_a_shift_of_the_image_by_a_pixel_shifts_the_box_and_the_region_by_a_pixel(monkeypatch, shift):
    cascade = ideal(tiny(margin=6), monkeypatch)
    down, right = shift
    images = torch.zeros(1, 1, *SIZE)
    images[..., 30 + down : 61 + down, 41 + right : 82 + right] = 1
    located = cascade.locate(images)
    ((box,),) = located.boxes
    assert (box.start, box.stop) == ((24 + down, 35 + right), (67 + down, 88 + right))
    (theta,) = located.regions
    centre = (35 + 88) / 2 + right, (24 + 67) / 2 + down
    assert theta[0, :, 2].tolist() == pytest.approx(
        [2 * centre[0] / SIZE[1] - 1, 2 * centre[1] / SIZE[0] - 1], abs=1e-6
    )


def test_several_regions_are_merged_by_the_largest_probability(monkeypatch):
    cascade = answer(tiny(margin=0), monkeypatch, cells=[(8, 12), (22, 12)], distances=(12.0, 12.0, 12.0, 12.0))
    monkeypatch.setattr(cascade, "second_logits", lambda regions: torch.full_like(regions, 3.0))
    images = torch.zeros(1, 1, *SIZE)
    found = cascade(images)[0, 1] >= 0.5
    expected = torch.zeros(SIZE, dtype=torch.bool)
    expected[50 - 12 : 50 + 12, 34 - 12 : 34 + 12] = True
    expected[50 - 12 : 50 + 12, 90 - 12 : 90 + 12] = True
    assert torch.equal(found, expected)


def test_nothing_located_is_all_background(monkeypatch):
    cascade = answer(tiny(), monkeypatch, cells=[], distances=(9.0, 9.0, 9.0, 9.0))
    located = cascade.locate(torch.zeros(1, 1, *SIZE))
    assert located.boxes == ((),)
    maps = cascade.segment(torch.zeros(1, 1, *SIZE), located)
    assert torch.equal(maps[:, 0], torch.ones(1, *SIZE))
    assert not maps[:, 1].any()


def test_what_is_segmented_in_a_region_lands_where_it_lies_in_the_image(monkeypatch):
    cascade = answer(tiny(margin=6), monkeypatch, cells=[(14, 10)], distances=(24.0, 20.0, 30.0, 26.0))
    images = torch.zeros(1, 1, *SIZE)
    images[..., 34:50, 44:76] = 1
    monkeypatch.setattr(cascade, "second_logits", lambda regions: 40 * (regions - 0.5))
    found = cascade(images)[0, 1] >= 0.5
    assert float((found == (images[0, 0] > 0)).float().mean()) > 0.995
    assert bool(found[36:48, 46:74].all())


def test_probabilities_sum_to_one(batch):
    maps = tiny().eval()(batch[0])
    assert maps.shape == (2, 2, *SIZE)
    assert torch.allclose(maps.sum(dim=1), torch.ones(2, *SIZE))


def test_a_new_heatmap_moves_the_keypoints_and_keeps_the_distances(batch):
    cascade = tiny().eval()
    located = cascade.locate(batch[0])
    heatmap = torch.zeros(2, 1, SIZE[0] // 4, SIZE[1] // 4)
    heatmap[1, 0, 5, 9] = 0.9
    narrowed = cascade.update_rois(located, heatmap)
    assert narrowed.boxes[0] == ()
    assert len(narrowed.boxes[1]) == 1
    left, top, right, bottom = located.distances[1, :, 5, 9].tolist()
    (theta,) = narrowed.regions[1]
    assert theta[0, 0].item() == pytest.approx((left + right + 30) / SIZE[1], rel=1e-5)
    assert theta[1, 2].item() == pytest.approx((2 * 22 + bottom - top) / SIZE[0] - 1, abs=1e-5)


def test_the_true_regions_enclose_each_component_with_its_margin(batch):
    cascade = tiny(margin=4).eval()
    probabilities = (batch[1] > 0)[:, None].float()
    probabilities[0, 0, 80:84, 100:108] = 1
    located = cascade.from_mask(batch[0], probabilities)
    assert [(box.start, box.stop) for box in located.boxes[0]] == [((16, 36), (48, 76)), ((76, 96), (88, 112))]
    assert [(box.start, box.stop) for box in located.boxes[1]] == [((46, 26), (84, 94))]
    own = cascade.replace_rois(cascade.locate(batch[0]), located)
    assert isinstance(own, LocatedRegions)
    assert own.regions is located.regions
    assert torch.equal(own.probabilities, cascade.locate(batch[0]).probabilities)


def test_a_true_region_begins_at_one_half_and_its_box_ends_with_the_image():
    cascade = tiny(margin=4).eval()
    probabilities = torch.zeros(2, 1, *SIZE)
    probabilities[0, 0, 2:20, 100:126] = 0.5
    probabilities[1, 0, 2:20, 100:126] = 0.4999
    (box,), none = cascade.from_mask(torch.zeros_like(probabilities), probabilities).boxes
    assert (box.start, box.stop) == ((0, 96), (24, SIZE[1]))
    assert none == ()


def test_a_box_to_be_judged_ends_with_the_image(monkeypatch):
    cascade = answer(tiny(), monkeypatch, cells=[(1, 1)], distances=(40.0, 8.0, 200.0, 12.0))
    (found,) = cascade.first_boxes(cascade.locate(torch.zeros(1, 1, *SIZE)), SIZE)
    assert found["box"].start == (0, 0)
    assert found["box"].stop == (18, SIZE[1]), "the cell looks from (6, 6)"


def test_the_random_choice_is_one_of_the_three_highest_cells(batch):
    cascade = tiny().eval()
    with torch.no_grad():
        found = cascade.localize(batch[0])
        seen = {
            tuple(
                round(v, 4)
                for v in cascade._training_regions(found, batch[0], torch.Generator().manual_seed(s))[0]
                .flatten()
                .tolist()
            )
            for s in range(40)
        }
    assert len(seen) == 3


def test_the_pancreas_alone_can_be_the_target(batch):
    masks = []
    cascade = tiny(target="pancreas")
    original = cascade._localization_losses
    cascade._localization_losses = lambda found, mask: masks.append(mask) or original(found, mask)
    next(steps(cascade, batch))
    assert torch.equal(masks[0][:, 0] > 0, batch[1] == Label.PANCREAS)


def test_cross_entropy_is_the_ablation_s_loss(batch):
    cascade = tiny(loss="bce")
    logits = torch.tensor([[[[2.0, -1.0]]]])
    target = torch.tensor([[[[1.0, 0.0]]]])
    expected = functional.binary_cross_entropy_with_logits(logits, target)
    assert cascade._loss(logits, target) == pytest.approx(expected.item())
    assert math.isfinite(total(next(steps(cascade, batch))).item())


def test_a_first_stage_without_keypoints_is_refused():
    with pytest.raises(ValueError, match=r"localization_net.*coarse_to_fine"):
        LSNetSettings(first=NetworkSettings(name="resnet_unet"))


@pytest.mark.parametrize("size", [(80, 112), (96, 144), (48, 176)])
def test_images_of_any_multiple_of_16_are_segmented(size):
    cascade = tiny().eval()
    images = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(3))
    located = cascade.from_mask(images, torch.ones(1, 1, *size))
    assert cascade.localize(images).heatmap.shape == (1, 1, size[0] // 4, size[1] // 4)
    assert cascade.segment(images, located).shape == (1, 2, *size)


def test_the_weights_of_focal_and_dice_are_settings(batch):
    plain, weighted = (
        {k: v.item() for k, v in next(steps(tiny(**o), batch)).items()} for o in ({}, {"dice_weight": 0})
    )
    assert weighted["heatmap"] < plain["heatmap"]
    half = {k: v.item() for k, v in next(steps(tiny(dice_weight=0, focal_alpha=0.5), batch)).items()}
    assert half["heatmap"] == pytest.approx(weighted["heatmap"] / 2)


def first_losses(batch, **options):
    return {name: loss.item() for name, loss in next(steps(tiny(**options), batch)).items()}


@torch.no_grad()
def test_the_heatmap_s_loss_is_a_choice_and_squared_dice_the_default(batch):
    cascade = tiny()
    found = cascade.localize(batch[0]).heatmap
    target = keypoint_targets((batch[1] > 0)[:, None].float()).heatmap
    for options, reading in (
        ({}, {"squared_dice": True}),
        ({"heatmap_dice": "plain"}, {}),
        ({"heatmap_normaliser": "positives"}, {"squared_dice": True, "normaliser": "positives"}),
    ):
        expected = focal_dice_loss(found, target, **reading).item()
        assert first_losses(batch, **options)["heatmap"] == pytest.approx(expected, rel=1e-5)


def test_the_heatmap_s_loss_is_not_that_of_the_masks(batch):
    def segmentation(**options):
        both = steps(tiny(**options), batch)
        next(both)
        return next(both)["segmentation"].item()

    plain = segmentation(heatmap_dice="plain", heatmap_normaliser="cells")
    assert segmentation(heatmap_dice="squared", heatmap_normaliser="positives") == plain


def test_distances_are_taught_where_the_heatmap_reaches_their_threshold(batch):
    cascade = tiny(distance_threshold=0.8)
    masks = (batch[1] > 0)[:, None].float()
    strict, usual = cascade._targets(masks), tiny()._targets(masks)
    assert torch.equal(strict.heatmap, usual.heatmap)
    assert torch.equal(strict.positive, usual.positive & (usual.heatmap >= 0.8))
    assert 0 < int(strict.positive.sum()) < int(usual.positive.sum())
    assert first_losses(batch, distance_threshold=0.8)["box"] != first_losses(batch)["box"]
    for refused in (0, 1.1):
        with pytest.raises(ValueError, match="distance_threshold"):
            LSNetSettings(distance_threshold=refused)


def test_a_slice_may_have_one_box_around_all_its_components(batch):
    probabilities = (batch[1] > 0)[:, None].float()
    probabilities[0, 0, 80:84, 100:108] = 1
    cascade = tiny(margin=4, regions="slice")
    located = cascade.from_mask(batch[0], probabilities)
    assert [(box.start, box.stop) for box in located.boxes[0]] == [((16, 36), (88, 112))]
    wanted = cascade._targets(probabilities)
    assert (wanted.heatmap[0, 0] >= 0.9).nonzero().tolist() == [[12, 18], [13, 18]], "the middle of that box"
    assert cascade._targets(torch.zeros(1, 1, *SIZE)).heatmap.max() == 0


def test_of_several_components_of_the_heatmap_the_one_with_the_highest_cell_is_the_slice_s():
    heatmap = torch.zeros(2, 1, SIZE[0] // 4, SIZE[1] // 4)
    heatmap[0, 0, 5:8, 4:9] = 0.7
    heatmap[0, 0, 15, 20] = 0.9
    for regions, places in (("component", [[6, 6], [20, 15]]), ("slice", [[20, 15]])):
        found = find_keypoints(heatmap, regions=regions)
        assert found[0].tolist() == places
        assert found[1].tolist() == []
    located = tiny(regions="slice").eval().locate(torch.rand(1, 1, *SIZE))
    assert len(tiny(regions="slice").update_rois(located, heatmap[:1]).boxes[0]) == 1
    assert len(tiny().update_rois(located, heatmap[:1]).boxes[0]) == 2
