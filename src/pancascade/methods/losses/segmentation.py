"""Plain segmentation losses by name, for methods whose paper leaves the choice open or varies it."""

from collections.abc import Callable

from torch import Tensor

from pancascade.methods.losses.focal import focal_dice_loss
from pancascade.methods.losses.overlap import bce_loss, dice_loss

SEGMENTATION_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "dice": lambda logits, target: dice_loss(logits.sigmoid(), target),
    "bce": bce_loss,
    "dice_bce": lambda logits, target: dice_loss(logits.sigmoid(), target) + bce_loss(logits, target),
    "focal_dice": focal_dice_loss,
}
"""Losses by name, from logits (B, 1, *S) and binary target (B, 1, *S) to a scalar. ``focal_dice``: ℓ_FD of L-SNet."""


def segmentation_loss(logits: Tensor, target: Tensor, *, kind: str) -> Tensor:
    """Return a loss by name.

    Args:
        logits: (B, 1, *S).
        target: (B, 1, *S), binary.
        kind: Name in `SEGMENTATION_LOSSES`.

    Returns:
        Scalar.

    Raises:
        KeyError: There is no such loss.
        ValueError: The shapes differ, or are not (B, 1, *S).
    """
    return SEGMENTATION_LOSSES[kind](logits, target)
