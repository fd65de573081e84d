"""Boundary weights, weighted terms and deep supervision against methods.md §6.3–4 and SciPy."""

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter
from torch import Tensor

from pancascade.methods.losses import (
    bce_iou_loss,
    boundary_weight,
    combine_second_stage,
    deep_supervision_weights,
    iou_loss,
    second_stage_loss,
    structure_loss,
    weighted_bce_loss,
    weighted_iou_loss,
)


def square(size: int, start: int, stop: int) -> Tensor:
    target = torch.zeros(1, 1, size, size, dtype=torch.float64)
    target[..., start:stop, start:stop] = 1
    return target


SMALL = square(4, 1, 3)


def two_levels(foreground: float, background: float) -> Tensor:
    return SMALL * (foreground - background) + background


def test_weights_of_the_small_mask_are_the_printed_ones() -> None:
    W = boundary_weight(SMALL)
    assert W[SMALL == 0].numpy() == pytest.approx(1.0208117, abs=5e-8)
    assert W[SMALL == 1].numpy() == pytest.approx(5.9791883, abs=5e-8)
    assert W.sum().item() == pytest.approx(36.1664932, abs=5e-8)


@pytest.mark.parametrize(
    ("row", "column", "expected"),
    [(32, 32, 3.0031217), (20, 20, 4.6680541), (19, 32, 2.8730489), (43, 32, 4.0020812), (0, 0, 1)],
)
def test_weights_of_the_large_mask_are_the_printed_ones(row: int, column: int, expected: float) -> None:
    assert boundary_weight(square(64, 20, 44))[0, 0, row, column].item() == pytest.approx(expected, abs=5e-8)


@pytest.mark.oracle
@pytest.mark.parametrize("kernel", [31, 5])
def test_weights_equal_scipys_uniform_filter(kernel: int) -> None:
    g = (np.random.default_rng(0).random((2, 1, 40, 57)) > 0.7).astype(np.float64)
    mean = np.stack([uniform_filter(sample[0], kernel, mode="constant")[None] for sample in g])
    ours = boundary_weight(torch.from_numpy(g), kernel=kernel, strength=3.0)
    assert ours.numpy() == pytest.approx(1 + 3 * np.abs(mean - g), abs=1e-12)


@pytest.mark.parametrize(
    ("logits", "wbce", "legacy", "wiou"),
    [
        (two_levels(0, 0), 0.6931472, 0.6931472, 0.6019397),
        (two_levels(2, -1), 0.1900400, 0.2666783, 0.2258410),
        (two_levels(-1, -3), 0.8849113, 0.3647559, 0.7374364),
    ],
)
def test_weighted_terms_are_the_printed_ones(logits: Tensor, wbce: float, legacy: float, wiou: float) -> None:
    assert weighted_bce_loss(logits, SMALL).item() == pytest.approx(wbce, abs=5e-8)
    assert weighted_bce_loss(logits, SMALL, reading="legacy").item() == pytest.approx(legacy, abs=5e-8)
    assert weighted_iou_loss(logits, SMALL).item() == pytest.approx(wiou, abs=5e-8)
    assert structure_loss(logits, SMALL).item() == pytest.approx(wbce + wiou, abs=1e-7)
    assert structure_loss(logits, SMALL, reading="legacy").item() == pytest.approx(legacy + wiou, abs=1e-7)


def test_structure_loss_of_the_missed_mask_is_the_printed_sum() -> None:
    missed = two_levels(-1, -3)
    assert structure_loss(missed, SMALL).item() == pytest.approx(1.6223477, abs=5e-8)
    assert structure_loss(missed, SMALL, reading="legacy").item() == pytest.approx(1.1021924, abs=1e-7)


def test_the_plain_iou_loss_is_the_printed_one() -> None:
    assert iou_loss(two_levels(2, -1).sigmoid(), SMALL).item() == pytest.approx(0.5125165, abs=5e-8)


def test_a_sample_weighs_the_same_whatever_its_boundary() -> None:
    logits = torch.cat((two_levels(2, -1), two_levels(0, 0)))
    target = torch.cat((SMALL, torch.zeros_like(SMALL)))
    expected = (0.1900400 + np.log(2)) / 2
    assert weighted_bce_loss(logits, target).item() == pytest.approx(expected, abs=5e-8)
    assert weighted_iou_loss(logits, target).item() == pytest.approx((0.2258410 + 1) / 2, abs=5e-8)


def test_a_given_weight_is_used() -> None:
    logits, ones = two_levels(2, -1), torch.ones_like(SMALL)
    assert weighted_bce_loss(logits, SMALL, weight=ones).item() == pytest.approx(0.2666783, abs=5e-8)
    assert weighted_iou_loss(logits, SMALL, weight=ones).item() == pytest.approx(0.5125165, abs=5e-8)
    assert structure_loss(logits, SMALL, weight=ones).item() == pytest.approx(0.7791948, abs=1e-7)


def test_an_empty_union_costs_nothing() -> None:
    canvas = torch.full((1, 1, 4, 4), -1e7, requires_grad=True)
    loss = structure_loss(canvas, torch.zeros(1, 1, 4, 4))
    loss.backward()
    assert loss.item() == 0
    assert canvas.grad is not None
    assert canvas.grad.isfinite().all()


@pytest.mark.parametrize(
    ("reading", "weights", "total"),
    [("code", (1, 1, 2, 4), 2.0), ("literal", (0.5, 1, 2, 4), 1.8), ("shifted", (1, 2, 4, 8), 3.1)],
)
def test_readings_of_equation_13_give_the_printed_totals(reading, weights, total) -> None:
    assert deep_supervision_weights(reading) == weights
    assert combine_second_stage(0.5, (0.4, 0.3, 0.2, 0.1), weights=reading) == pytest.approx(total, abs=1e-12)


def test_the_default_reading_of_equation_13_is_the_code() -> None:
    assert deep_supervision_weights() == deep_supervision_weights("code")


@pytest.mark.parametrize("wbce", ["weighted", "legacy"])
@pytest.mark.parametrize("weights", ["code", "literal", "shifted"])
def test_the_second_stage_loss_is_equation_13_of_its_terms(wbce, weights) -> None:
    generator = torch.Generator().manual_seed(1)
    localization, *focusing = torch.randn(5, 2, 1, 6, 6, generator=generator, dtype=torch.float64)
    target = (torch.rand(2, 1, 6, 6, generator=generator) > 0.6).double()
    terms = [structure_loss(logits, target, reading=wbce).item() for logits in focusing]
    expected = combine_second_stage(bce_iou_loss(localization, target).item(), terms, weights=weights)
    measured = second_stage_loss(localization, focusing, target, wbce=wbce, weights=weights)
    assert measured.item() == pytest.approx(expected, abs=1e-12)


def test_the_second_stage_loss_reaches_every_prediction() -> None:
    predictions = [torch.zeros(1, 1, 4, 4, dtype=torch.float64, requires_grad=True) for _ in range(5)]
    second_stage_loss(predictions[0], predictions[1:], SMALL).backward()
    gradients = [p.grad.abs().sum().item() for p in predictions if p.grad is not None]
    assert gradients[1:] == pytest.approx([gradients[1] * w for w in (1, 1, 2, 4)])
    assert gradients[0] > 0


def test_structure_gradients_are_those_of_finite_differences() -> None:
    logits = torch.randn(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: structure_loss(z, SMALL), logits)


def test_half_precision_logits_are_measured_in_float32() -> None:
    logits = torch.linspace(-4, 4, 1024).view(1, 1, 32, 32).bfloat16()
    target = square(32, 8, 20)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        measured = structure_loss(logits, target.bool())
    assert measured.dtype == torch.float32
    assert measured.item() == pytest.approx(structure_loss(logits.double(), target).item(), abs=1e-6)


@pytest.mark.parametrize("loss", [weighted_bce_loss, weighted_iou_loss, structure_loss])
def test_shapes_that_do_not_fit_are_named(loss) -> None:
    with pytest.raises(ValueError, match=r"\(1, 1, 4, 4\) and target \(1, 1, 4, 5\)"):
        loss(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 5))
    with pytest.raises(ValueError, match=r"weight \(1, 1, 2, 2\)"):
        loss(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4), weight=torch.ones(1, 1, 2, 2))
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\), got \(1, 1, 4\)"):
        loss(torch.zeros(1, 1, 4), torch.zeros(1, 1, 4))


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match="got 30"):
        boundary_weight(SMALL, kernel=30)


def test_unknown_readings_are_refused() -> None:
    with pytest.raises(ValueError, match="'none'"):
        structure_loss(SMALL, SMALL, reading="none")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'pfnet'"):
        deep_supervision_weights("pfnet")  # type: ignore[arg-type]


def test_two_focusing_predictions_are_refused() -> None:
    with pytest.raises(ValueError, match="got 2"):
        second_stage_loss(SMALL, [SMALL] * 2, SMALL)


def test_without_fm5_the_weights_are_those_of_the_other_three() -> None:
    assert combine_second_stage(0.5, (0.3, 0.2, 0.1)) == pytest.approx(0.5 + 0.3 + 2 * 0.2 + 4 * 0.1)
