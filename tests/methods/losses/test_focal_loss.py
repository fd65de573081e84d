import pytest
import torch

from pancascade.methods.losses import dice_loss
from pancascade.methods.losses.focal import focal_dice_loss, focal_loss
from pancascade.methods.losses.keypoint_targets import keypoint_targets

PRINTED = [
    (0.9, 1.0, 0.001054, 0.001054),
    (0.3, 1.0, 0.589947, 0.589947),
    (0.2, 0.0, 0.008926, 0.008926),
    (0.6, 0.5, 0.007136, 0.020617),
    (0.5, 0.5, 0.0, 0.010830),
    (0.4, 0.8, 0.133632, 0.000131),
]


def one(value):
    return torch.tensor(value, dtype=torch.float64).view(1, 1, 1, 1)


def maps(shape=(2, 1, 5, 7), seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(shape, generator=generator, dtype=torch.float64)
    target = torch.rand(shape, generator=generator, dtype=torch.float64)
    return logits, target


@pytest.mark.parametrize(("p", "t", "soft", "cornernet"), PRINTED)
def test_both_readings_have_the_printed_values(p, t, soft, cornernet):
    logits, target = one(p).logit(), one(t)
    assert focal_loss(logits, target).item() == pytest.approx(soft, abs=6e-7)
    assert focal_loss(logits, target, reading="cornernet").item() == pytest.approx(cornernet, abs=6e-7)


@pytest.mark.parametrize("reading", ["soft", "cornernet"])
def test_the_loss_is_the_mean_over_all_cells_of_the_batch(reading):
    column = 2 if reading == "soft" else 3
    p, t = (torch.tensor([row[i] for row in PRINTED]).view(3, 1, 2, 1) for i in (0, 1))
    expected = sum(row[column] for row in PRINTED) / 6
    assert focal_loss(p.logit(), t, reading=reading).item() == pytest.approx(expected, abs=1e-6)


def test_for_binary_targets_it_is_lin_s_focal_loss_with_gamma_2():
    logits, target = maps()
    target = (target > 0.6).double()
    p = logits.sigmoid()
    p_t = torch.where(target == 1, p, 1 - p)
    lin = -((1 - p_t) ** 2) * p_t.log()
    assert focal_loss(logits, target).item() == pytest.approx(lin.mean().item(), abs=1e-12)
    assert focal_loss(logits, target, reading="cornernet").item() == pytest.approx(lin.mean().item(), abs=1e-12)
    alpha_t = torch.where(target == 1, 0.25, 0.75)
    weighted = focal_loss(logits, target, alpha=0.25).item()
    assert weighted == pytest.approx((alpha_t * lin).mean().item(), abs=1e-12)


def test_alpha_weighs_soft_targets_between_its_ends():
    logits, target = one(0.9).logit(), one(0.2)
    plain = focal_loss(logits, target).item()
    assert focal_loss(logits, target, alpha=0.25).item() == pytest.approx((0.2 * 0.25 + 0.8 * 0.75) * plain)


@pytest.mark.parametrize("t", [0.02, 0.3, 0.5, 0.8, 0.97])
def test_the_soft_reading_is_least_where_the_heatmap_is_met(t):
    p = torch.linspace(0.005, 0.995, 199, dtype=torch.float64)
    values = torch.stack([focal_loss(one(x.item()).logit(), one(t)) for x in p])
    assert p[values.argmin()].item() == pytest.approx(t, abs=0.003)
    z = one(t).logit().requires_grad_()
    focal_loss(z, one(t)).backward()
    assert z.grad.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("reading", ["soft", "cornernet"])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_its_gradient_is_that_of_its_finite_differences(reading, alpha):
    logits, target = maps()
    target[0, 0, 0, :3] = 1
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: focal_loss(z, target, reading=reading, alpha=alpha), logits)


@pytest.mark.parametrize("reading", ["soft", "cornernet"])
def test_logits_as_far_as_a_paste_canvas_stay_finite(reading):
    logits = torch.tensor([-1e7, 1e7, -200.0, 200.0]).view(1, 1, 1, 4).requires_grad_()
    target = torch.tensor([1.0, 0.0, 1.0, 0.0]).view(1, 1, 1, 4)
    loss = focal_loss(logits, target, reading=reading)
    loss.backward()
    assert loss.item() == pytest.approx((2e7 + 400) / 4)
    assert logits.grad.flatten().tolist() == [-0.25, 0.25, -0.25, 0.25]
    met = focal_loss(logits.detach(), 1 - target, reading=reading)
    assert met.item() == 0


def test_l_fd_adds_a_fifth_of_dice():
    logits, target = maps()
    focal, dice = focal_loss(logits, target).item(), dice_loss(logits.sigmoid(), target).item()
    assert focal_dice_loss(logits, target).item() == pytest.approx(focal + 0.2 * dice)
    assert focal_dice_loss(logits, target, weighting="both").item() == pytest.approx(0.2 * (focal + dice))
    assert focal_dice_loss(logits, target, dice_weight=0.5).item() == pytest.approx(focal + 0.5 * dice)
    cornernet = focal_loss(logits, target, reading="cornernet", alpha=0.3).item()
    found = focal_dice_loss(logits, target, reading="cornernet", alpha=0.3).item()
    assert found == pytest.approx(cornernet + 0.2 * dice)
    squared = dice_loss(logits.sigmoid(), target, squared=True).item()
    assert focal_dice_loss(logits, target, squared_dice=True).item() == pytest.approx(focal + 0.2 * squared)


def test_only_squared_dice_is_least_where_the_heatmap_is_met():
    _, target = maps()

    def slope(squared):
        z = target.logit().requires_grad_()
        focal_dice_loss(z, target, squared_dice=squared).backward()
        return z.grad.abs().max().item()

    assert slope(squared=True) < 1e-7
    assert slope(squared=False) > 1e-4


def test_detectors_divide_by_the_number_of_positives():
    logits, target = maps()
    whole = focal_loss(logits, target).item() * target.numel()
    found = focal_loss(logits, target, normaliser="positives").item()
    assert found == pytest.approx(whole / int((target >= 0.5).sum()))
    dice = dice_loss(logits.sigmoid(), target).item()
    assert focal_dice_loss(logits, target, normaliser="positives").item() == pytest.approx(found + 0.2 * dice)
    edge = torch.tensor([0.5, 0.5, 0.4, 0.0], dtype=torch.float64).view(1, 1, 1, 4)
    sum_of_two = 4 * focal_loss(torch.zeros_like(edge), edge).item()
    assert focal_loss(torch.zeros_like(edge), edge, normaliser="positives").item() == pytest.approx(sum_of_two / 2)
    none = torch.full_like(target, 0.4)
    assert focal_loss(logits, none, normaliser="positives").item() == pytest.approx(
        focal_loss(logits, none).item() * none.numel()
    )


def best_heatmap(target, **reading):
    """Probabilities that the loss likes best, found from scratch by itself."""
    logits = torch.full_like(target, -4.0).requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.2)
    for step in range(260):
        if step == 200:
            optimiser.param_groups[0]["lr"] = 0.03
        optimiser.zero_grad()
        focal_dice_loss(logits, target, **reading).backward()
        optimiser.step()
    return logits.detach().sigmoid()


@pytest.mark.parametrize(
    ("reading", "cells", "error"),
    [
        ({}, 28, (0.5, 0.6)),
        ({"normaliser": "positives"}, 19, (0.06, 0.1)),
        ({"squared_dice": True}, 17, (0, 0.02)),
    ],
    ids=["mean and Dice", "over positives", "squared Dice"],
)
def test_squared_dice_alone_ends_at_the_heatmap_of_a_box_of_90_by_50(reading, cells, error):
    """Of 17 cells at least ½; a hard disc of 28 is what the mean over cells with plain Dice likes best."""
    mask = torch.zeros(1, 1, 96, 128)
    mask[..., 20:70, 20:110] = 1
    target = keypoint_targets(mask).heatmap
    assert int((target >= 0.5).sum()) == 17
    found = best_heatmap(torch.nn.functional.pad(target, (24, 24, 28, 28)), **reading)
    assert int((found >= 0.5).sum()) == cells
    worst = float((found[..., 28:-28, 24:-24] - target).abs().max())
    assert error[0] <= worst < error[1]


def test_half_precision_is_lifted():
    logits, target = maps()
    logits = logits.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = focal_dice_loss(logits, target.float())
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(focal_dice_loss(logits.double(), target).item(), abs=1e-6)


def test_wrong_arguments_of_the_focal_loss_are_named():
    logits, target = maps()
    with pytest.raises(ValueError, match="'soft', 'cornernet', got 'hard'"):
        focal_loss(logits, target, reading="hard")
    with pytest.raises(ValueError, match="normaliser must be one of 'cells', 'positives', got 'images'"):
        focal_loss(logits, target, normaliser="images")
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\], got 2"):
        focal_loss(logits, target, alpha=2)
    with pytest.raises(ValueError, match="'dice', 'both', got 'none'"):
        focal_dice_loss(logits, target, weighting="none")
    with pytest.raises(ValueError, match="differ in shape"):
        focal_loss(logits, target[:1])
