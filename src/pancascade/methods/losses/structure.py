"""The structure loss of the focusing modules and the deeply supervised loss of stage 2."""

from collections.abc import Sequence
from typing import Literal, TypeVar, get_args

from torch import Tensor
from torch.nn import functional

from pancascade.methods.losses.arguments import full_precision, matched
from pancascade.methods.losses.overlap import bce_iou_loss, one_minus_ratio

WeightedBce = Literal["weighted", "legacy"]
DeepSupervision = Literal["code", "literal", "shifted"]
Scalar = TypeVar("Scalar", Tensor, float)


def boundary_weight(target: Tensor, *, kernel: int = 31, strength: float = 5.0) -> Tensor:
    """Return pixel weights that are larger where a pixel differs from its surroundings.

    W = 1 + 5 |AvgPool₃₁(g) − g|, zero-padded, divisor always 31² = 961; computed as two one-dimensional means.

    Args:
        target: g, (B, 1, H, W), binary.
        kernel: Side of the averaging window, odd.
        strength: The factor 5.

    Returns:
        (B, 1, H, W), at least 1, without gradient.

    Raises:
        ValueError: target is not (B, 1, H, W), or the kernel is not odd.

    Source: Qiu et al. 2024, Eq. 12; W as in PFNet and the authors' code (methods.md §A2).
    """
    if target.ndim != 4 or target.shape[1] != 1:
        raise ValueError(f"expected target of shape (B, 1, H, W), got {tuple(target.shape)}")
    if kernel < 1 or kernel % 2 == 0:
        raise ValueError(f"kernel must be odd and positive, got {kernel}")
    g = full_precision(target.detach())
    column_mean = functional.avg_pool2d(g, (kernel, 1), stride=1, padding=(kernel // 2, 0))
    mean = functional.avg_pool2d(column_mean, (1, kernel), stride=1, padding=(0, kernel // 2))
    return 1 + strength * (mean - g).abs()


def weighted_bce_loss(
    logits: Tensor, target: Tensor, *, reading: WeightedBce = "weighted", weight: Tensor | None = None
) -> Tensor:
    """Return the binary cross-entropy weighted towards boundaries, per sample, then the mean.

    L_wbce = Σ(W · bce) / ΣW. Reading "legacy" is the plain mean that the published code computes, because its
    reduce='none' is a truthy string (methods.md §0.1).

    Args:
        logits: (B, 1, H, W).
        target: (B, 1, H, W), binary.
        reading: The paper's formula (``weighted``) or its code (``legacy``).
        weight: W, if already computed; boundary_weight(target) otherwise.

    Returns:
        Scalar.

    Raises:
        ValueError: The shapes differ, are not (B, 1, H, W), or the reading is unknown.

    Source: Qiu et al. 2024, Eq. 12, first term.
    """
    _check_variant(reading, get_args(WeightedBce))
    logits, target = matched(logits, target)
    bce = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    if reading == "legacy":
        return bce.mean()
    W = _weight_for(target, weight).flatten(1)
    return ((W * bce.flatten(1)).sum(1) / W.sum(1)).mean()


def weighted_iou_loss(logits: Tensor, target: Tensor, *, weight: Tensor | None = None) -> Tensor:
    """Return the boundary-weighted intersection-over-union loss without smoothing, per sample, then the mean.

    L_wiou = 1 − ΣWpg / (ΣW(p + g) − ΣWpg) with p = σ(z); 0 where the union is exactly 0.

    Args:
        logits: z, (B, 1, H, W).
        target: g, (B, 1, H, W), binary.
        weight: W, if already computed; boundary_weight(target) otherwise.

    Returns:
        Scalar.

    Raises:
        ValueError: The shapes differ, or are not (B, 1, H, W).

    Source: Qiu et al. 2024, Eq. 12, second term.
    """
    logits, target = matched(logits, target)
    W = _weight_for(target, weight).flatten(1)
    p, g = logits.sigmoid().flatten(1), target.flatten(1)
    intersection = (W * p * g).sum(1)
    return one_minus_ratio(intersection, (W * (p + g)).sum(1) - intersection).mean()


def structure_loss(
    logits: Tensor, target: Tensor, *, reading: WeightedBce = "weighted", weight: Tensor | None = None
) -> Tensor:
    """Return the loss of a focusing module: L_fm = L_wbce + L_wiou.

    Args:
        logits: (B, 1, H, W).
        target: (B, 1, H, W), binary.
        reading: Variant of the first term, see weighted_bce_loss.
        weight: W, if already computed; boundary_weight(target), once for both terms, otherwise.

    Returns:
        Scalar.

    Raises:
        ValueError: The shapes differ, are not (B, 1, H, W), or the reading is unknown.

    Source: Qiu et al. 2024, Eq. 12.
    """
    logits, target = matched(logits, target)
    weight = _weight_for(target, weight)
    return weighted_bce_loss(logits, target, reading=reading, weight=weight) + weighted_iou_loss(
        logits, target, weight=weight
    )


def deep_supervision_weights(reading: DeepSupervision = "code") -> tuple[float, float, float, float]:
    """Return the weights of FM5, FM4, FM3, FM2 in the loss of stage 2.

    Eq. 13 prints 2^(4,i). Variants for i = 5, 4, 3, 2: "code" 2^max(0, 4−i) = 1, 1, 2, 4; "literal"
    2^(4−i) = ½, 1, 2, 4; "shifted" 2^(5−i) = 1, 2, 4, 8.

    Raises:
        ValueError: The reading is unknown.

    Source: Qiu et al. 2024, Eq. 13, and the authors' code (methods.md §A2).
    """
    _check_variant(reading, get_args(DeepSupervision))
    return {
        "code": (1.0, 1.0, 2.0, 4.0),
        "literal": (0.5, 1.0, 2.0, 4.0),
        "shifted": (1.0, 2.0, 4.0, 8.0),
    }[reading]


def combine_second_stage(l_pm: Scalar, l_fm: Sequence[Scalar], *, weights: DeepSupervision = "code") -> Scalar:
    """Return L_seg2 = L_pm + Σ_i w_i L_fm^i, i = 5, 4, 3, 2.

    Args:
        l_pm: Loss of the localization module.
        l_fm: Losses of FM5, FM4, FM3, FM2, deepest first; of FM4, FM3, FM2 if the network has no FM5.
        weights: See deep_supervision_weights.

    Raises:
        ValueError: There are neither four nor three focusing losses.

    Source: Qiu et al. 2024, Eq. 13.
    """
    w = deep_supervision_weights(weights)
    if len(l_fm) not in (3, 4):
        raise ValueError(f"expected {len(w)} focusing terms, FM5 to FM2, or 3 without FM5, got {len(l_fm)}")
    total = l_pm
    for w_i, l_i in zip(w[-len(l_fm) :], l_fm, strict=True):
        total = total + w_i * l_i
    return total


def second_stage_loss(
    localization_logits: Tensor,
    focusing_logits: Sequence[Tensor],
    target: Tensor,
    *,
    wbce: WeightedBce = "weighted",
    weights: DeepSupervision = "code",
) -> Tensor:
    """Return the deeply supervised loss of stage 2: L_seg2 = L_pm + Σ_i w_i L_fm^i.

    Args:
        localization_logits: (B, 1, H, W), resized to the target.
        focusing_logits: (B, 1, H, W) each, resized to the target, deepest first: FM5, FM4, FM3, FM2, or without FM5.
        target: (B, 1, H, W), binary.
        wbce: Variant of the weighted cross-entropy.
        weights: Variant of 2^(4,i).

    Returns:
        Scalar.

    Raises:
        ValueError: The shapes differ, or there are neither four nor three focusing predictions.

    Source: Qiu et al. 2024, Eq. 13.
    """
    W = boundary_weight(target)
    l_pm = bce_iou_loss(localization_logits, target)
    l_fm = [structure_loss(logits, target, reading=wbce, weight=W) for logits in focusing_logits]
    return combine_second_stage(l_pm, l_fm, weights=weights)


def _weight_for(target: Tensor, weight: Tensor | None) -> Tensor:
    """Return the given W after a check of its shape, or the W of the target."""
    if weight is None:
        return boundary_weight(target)
    if weight.shape != target.shape:
        raise ValueError(f"weight {tuple(weight.shape)} and target {tuple(target.shape)} differ in shape")
    return full_precision(weight)


def _check_variant(reading: str, known: Sequence[str]) -> None:
    if reading not in known:
        raise ValueError(f"unknown reading {reading!r}, choose one of {', '.join(known)}")
