"""Focal loss against soft targets, and its sum with Dice: the losses of both networks of L-SNet."""

from typing import Literal, get_args

from torch import Tensor
from torch.nn import functional

from pancascade.methods.losses.arguments import matched
from pancascade.methods.losses.overlap import dice_loss

FocalVariant = Literal["soft", "cornernet"]
DiceWeighting = Literal["dice", "both"]
FocalNormaliser = Literal["cells", "positives"]


def focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    reading: FocalVariant = "soft",
    alpha: float | None = None,
    normaliser: FocalNormaliser = "cells",
) -> Tensor:
    """Return the focal loss: the mean over all N cells or pixels of the batch, or the sum over the number of positives.

    ``soft``: L = (1/N) Σ −|p − t|² [t ln p + (1 − t) ln(1 − p)] with p = σ(z). For t ∈ {0, 1} it is the focal loss
    with γ = 2; its minimum, 0, is always at p = t, so that a threshold of ½ on p means a threshold of ½ on t.

    ``cornernet``: L = (1/N) Σ −(1 − p)² ln p where t = 1, −(1 − t)⁴ p² ln(1 − p) elsewhere: a t below 1 reduces the
    penalty of a negative. Only targets of exactly 1 are positive: use it with centres rounded to cells.

    Args:
        logits: z, (B, 1, *S).
        target: t, (B, 1, *S) in [0, 1]: a heatmap, or a binary mask.
        reading: ``soft`` or ``cornernet``.
        alpha: Lin's α in [0, 1]: terms have the weight t α + (1 − t)(1 − α); None applies no weights.
        normaliser: N is the number of ``cells``, or, as in detectors, of ``positives``: those with t ≥ ½, at least 1.

    Returns:
        Scalar.

    Raises:
        ValueError: The shapes differ, are not (B, 1, *S), or the reading, the normaliser or α is invalid.

    Source: L-SNet, Eqs. 5–6; Lin et al. 2017, Eqs. 4–5; Law and Deng 2018, Eq. 1; methods.md §B2.
    """
    _require("reading", reading, get_args(FocalVariant))
    _require("normaliser", normaliser, get_args(FocalNormaliser))
    if alpha is not None and not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie in [0, 1], got {alpha}")
    z, t = matched(logits, target)
    p = z.sigmoid()
    if reading == "soft":
        terms = (p - t).square() * functional.binary_cross_entropy_with_logits(z, t, reduction="none")
    else:
        centre = (t == 1).to(t.dtype)
        positive = (1 - p).square() * functional.softplus(-z)
        negative = (1 - t).pow(4) * p.square() * functional.softplus(z)
        terms = centre * positive + (1 - centre) * negative
    if alpha is not None:
        terms = terms * (t * alpha + (1 - t) * (1 - alpha))
    return terms.mean() if normaliser == "cells" else terms.sum() / (t >= 0.5).sum().clamp(min=1)


def _require(what: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise ValueError(f"{what} must be one of {', '.join(map(repr, known))}, got {given!r}")


def focal_dice_loss(
    logits: Tensor,
    target: Tensor,
    *,
    dice_weight: float = 0.2,
    weighting: DiceWeighting = "dice",
    reading: FocalVariant = "soft",
    alpha: float | None = None,
    squared_dice: bool = False,
    normaliser: FocalNormaliser = "cells",
) -> Tensor:
    """Return ℓ_FD = Focal + 0.2 · Dice: the focal loss over all cells, Dice per sample, then the mean.

    Against a heatmap the minimum of Dice is not at p = t but at a p that is too steep. With squared terms in the
    denominator it is at p = t.

    Args:
        logits: (B, 1, *S).
        target: (B, 1, *S) in [0, 1].
        dice_weight: Weight of Dice, 0.2 in the paper.
        weighting: What "a sum of the FocalLoss and the DiceLoss weighted by 0.2" weights: ``dice`` or ``both``.
        reading: Variant of the focal loss.
        alpha: α of the focal loss.
        squared_dice: Whether the terms in the denominator of Dice are squared.
        normaliser: N of the focal loss.

    Returns:
        Scalar.

    Raises:
        ValueError: The shapes differ, are not (B, 1, *S), or a reading is unknown.

    Source: L-SNet, §2.5; methods.md §B2.
    """
    _require("weighting", weighting, get_args(DiceWeighting))
    logits, target = matched(logits, target)
    focal = focal_loss(logits, target, reading=reading, alpha=alpha, normaliser=normaliser)
    dice = dice_weight * dice_loss(logits.sigmoid(), target, squared=squared_dice)
    return (focal if weighting == "dice" else dice_weight * focal) + dice
