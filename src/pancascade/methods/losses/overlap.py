"""Dice, intersection over union, binary cross-entropy, and the loss of the localization module."""

import torch
from torch import Tensor
from torch.nn import functional

from pancascade.methods.losses.arguments import matched


def dice_loss(probabilities: Tensor, target: Tensor, *, epsilon: float = 1e-5, squared: bool = False) -> Tensor:
    """Return the smoothed Dice loss, per sample, then the mean.

    L = 1 − (2Σpg + ε) / (Σp + Σg + ε); with squared, 1 − (2Σpg + ε) / (Σp² + Σg² + ε).

    Args:
        probabilities: p, (B, 1, *S) in [0, 1].
        target: g, (B, 1, *S), binary.
        epsilon: Smoothing; two empty maps give loss 0.
        squared: Square the terms of the denominator.

    Returns:
        Scalar.

    Raises:
        ValueError: The shapes differ, or are not (B, 1, *S).

    Source: Qiu et al. 2024, Eq. 10; ε from the authors' code (methods.md §A2).
    """
    p, g = (maps.flatten(1) for maps in matched(probabilities, target))
    denominator = (p * p).sum(1) + (g * g).sum(1) if squared else p.sum(1) + g.sum(1)
    return (1 - (2 * (p * g).sum(1) + epsilon) / (denominator + epsilon)).mean()


def iou_loss(probabilities: Tensor, target: Tensor) -> Tensor:
    """Return the intersection-over-union loss without smoothing, per sample, then the mean.

    L = 1 − Σpg / (Σp + Σg − Σpg); 0 where the union is exactly 0.

    A sigmoid is 0 only where float32 underflows (logits below −104, such as −1e7 outside a pasted crop). So an empty
    target usually gives the constant 1 without gradient; only the added cross-entropy trains it.

    Args:
        probabilities: p, (B, 1, *S) in [0, 1].
        target: g, (B, 1, *S), binary.

    Returns:
        Scalar.

    Raises:
        ValueError: The shapes differ, or are not (B, 1, *S).

    Source: Qiu et al. 2024, Eq. 11, second term.
    """
    p, g = (maps.flatten(1) for maps in matched(probabilities, target))
    intersection = (p * g).sum(1)
    return one_minus_ratio(intersection, p.sum(1) + g.sum(1) - intersection).mean()


def one_minus_ratio(intersection: Tensor, union: Tensor) -> Tensor:
    """Return 1 − intersection / union elementwise, with value and gradient 0 where the union is 0."""
    empty = union == 0
    return torch.where(empty, 0, 1 - intersection / torch.where(empty, 1, union))


def bce_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return the mean binary cross-entropy over all pixels of the batch.

    L = −(1/N) Σ [g ln σ(z) + (1 − g) ln(1 − σ(z))].

    Args:
        logits: z, (B, 1, *S).
        target: g, (B, 1, *S), binary.

    Returns:
        Scalar.

    Raises:
        ValueError: The shapes differ, or are not (B, 1, *S).

    Source: Qiu et al. 2024, Eq. 11, first term.
    """
    return functional.binary_cross_entropy_with_logits(*matched(logits, target))


def bce_iou_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return the loss of the localization module: L_pm = L_bce + L_iou.

    Args:
        logits: (B, 1, *S).
        target: (B, 1, *S), binary.

    Returns:
        Scalar.

    Raises:
        ValueError: The shapes differ, or are not (B, 1, *S).

    Source: Qiu et al. 2024, Eq. 11.
    """
    logits, target = matched(logits, target)
    return bce_loss(logits, target) + iou_loss(logits.sigmoid(), target)
