"""Dice, IoU, cross-entropy and L_pm against methods.md §6.1–2, MONAI and their limits."""

import pytest
import torch
from torch import Tensor

from pancascade.methods.losses import bce_iou_loss, bce_loss, dice_loss, iou_loss

P = torch.tensor([0.9, 0.6, 0.2, 0.1], dtype=torch.float64).view(1, 1, 4)
G = torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64).view(1, 1, 4)


def counts_as_maps(true_positives: int, false_positives: int, false_negatives: int, size: int) -> tuple[Tensor, Tensor]:
    prediction, target = torch.zeros(2, 1, 1, size)
    prediction[..., : true_positives + false_positives] = 1
    target[..., :true_positives] = 1
    target[..., true_positives + false_positives : true_positives + false_positives + false_negatives] = 1
    return prediction.unsqueeze(0), target.unsqueeze(0)


def test_the_printed_example_has_the_printed_dice_iou_and_cross_entropy() -> None:
    assert 1 - dice_loss(P, G, epsilon=0).item() == pytest.approx(0.789474, abs=5e-7)
    assert 1 - dice_loss(P, G, epsilon=0, squared=True).item() == pytest.approx(0.931677, abs=5e-7)
    assert 1 - iou_loss(P, G).item() == pytest.approx(0.652174, abs=5e-7)
    assert bce_loss(P.logit(), G).item() == pytest.approx(0.236173, abs=5e-7)


def test_the_localization_loss_is_equation_11() -> None:
    assert bce_iou_loss(P.logit(), G).item() == pytest.approx(0.236173 + 1 - 0.652174, abs=1e-6)


def test_one_of_each_outcome_gives_dice_a_half_and_iou_a_third() -> None:
    prediction, target = counts_as_maps(1, 1, 1, 4)
    assert 1 - dice_loss(prediction, target).item() == pytest.approx(0.5, abs=1e-5)
    assert 1 - iou_loss(prediction, target).item() == pytest.approx(1 / 3, abs=1e-6)


def test_dice_is_taken_per_sample_and_then_averaged() -> None:
    prediction, target = (
        torch.cat(maps) for maps in zip(counts_as_maps(8, 2, 0, 10), counts_as_maps(1, 1, 4, 10), strict=True)
    )
    assert 1 - dice_loss(prediction, target, epsilon=0).item() == pytest.approx(0.587302, abs=5e-7)
    pooled = dice_loss(prediction.view(1, 1, -1), target.view(1, 1, -1), epsilon=0)
    assert 1 - pooled.item() == pytest.approx(0.72, abs=5e-7)


def test_iou_is_taken_per_sample_and_then_averaged() -> None:
    prediction, target = (
        torch.cat(maps) for maps in zip(counts_as_maps(8, 2, 0, 10), counts_as_maps(1, 1, 4, 10), strict=True)
    )
    assert iou_loss(prediction, target).item() == pytest.approx(1 - (8 / 10 + 1 / 6) / 2, abs=1e-6)


def test_epsilon_stands_in_numerator_and_denominator() -> None:
    assert dice_loss(P, G, epsilon=0.5).item() == pytest.approx(1 - 3.5 / 4.3, abs=1e-12)


def test_two_empty_maps_cost_nothing_and_have_a_finite_gradient() -> None:
    probabilities = torch.zeros(1, 1, 2, 2, requires_grad=True)
    loss = iou_loss(probabilities, torch.zeros(1, 1, 2, 2))
    loss.backward()
    assert loss.item() == 0
    assert probabilities.grad is not None
    assert torch.equal(probabilities.grad, torch.zeros(1, 1, 2, 2))
    assert dice_loss(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)).item() == 0


def test_an_empty_sample_does_not_spoil_its_batch() -> None:
    p, g = torch.cat((P, torch.zeros_like(P))), torch.cat((G, torch.zeros_like(G)))
    assert iou_loss(p, g).item() == pytest.approx((1 - 0.652174) / 2, abs=5e-7)


def test_the_overflowing_paste_canvas_is_finite_where_the_target_is_empty() -> None:
    canvas = torch.full((1, 1, 4, 4), -1e7, requires_grad=True)
    loss = bce_iou_loss(canvas, torch.zeros(1, 1, 4, 4))
    loss.backward()
    assert loss.item() == 0
    assert canvas.grad is not None
    assert canvas.grad.isfinite().all()


@pytest.mark.parametrize("loss", [dice_loss, iou_loss])
def test_overlap_gradients_are_those_of_finite_differences(loss) -> None:
    probabilities = torch.rand(2, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    target = torch.arange(18, dtype=torch.float64).view(2, 1, 3, 3) % 2
    assert torch.autograd.gradcheck(lambda p: loss(p, target), probabilities)


@pytest.mark.parametrize("loss", [bce_loss, bce_iou_loss])
def test_half_precision_logits_are_measured_in_float32(loss) -> None:
    logits = torch.linspace(-4, 4, 64).view(1, 1, 8, 8).bfloat16()
    target = (torch.arange(64).view(1, 1, 8, 8) % 3 == 0).long()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        measured = loss(logits, target)
    assert measured.dtype == torch.float32
    assert measured.item() == pytest.approx(loss(logits.double(), target).item(), abs=1e-6)


@pytest.mark.parametrize("loss", [dice_loss, iou_loss, bce_loss, bce_iou_loss])
def test_shapes_that_do_not_fit_are_named(loss) -> None:
    with pytest.raises(ValueError, match=r"\(1, 1, 4\) and target \(1, 1, 5\)"):
        loss(torch.rand(1, 1, 4), torch.zeros(1, 1, 5))
    with pytest.raises(ValueError, match=r"\(1, 2, 4, 4\)"):
        loss(torch.rand(1, 2, 4, 4), torch.zeros(1, 2, 4, 4))
    with pytest.raises(ValueError, match=r"got \(4, 1\)"):
        loss(torch.rand(4, 1), torch.zeros(4, 1))


@pytest.mark.oracle
@pytest.mark.parametrize("squared", [False, True])
def test_dice_loss_equals_monai(squared: bool) -> None:
    losses = pytest.importorskip("monai.losses")
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(3, 1, 9, 7, 5, generator=generator)
    target = (torch.rand(3, 1, 9, 7, 5, generator=generator) > 0.7).float()
    theirs = losses.DiceLoss(smooth_nr=1e-2, smooth_dr=1e-2, squared_pred=squared)(probabilities, target)
    ours = dice_loss(probabilities, target, epsilon=1e-2, squared=squared)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)
