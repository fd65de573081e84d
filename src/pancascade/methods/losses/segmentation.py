"""Plain segmentation losses by name, for methods whose paper leaves the choice open or varies it."""

from typing import Literal

from torch import Tensor

from pancascade.methods.losses.focal import focal_dice_loss
from pancascade.methods.losses.overlap import bce_loss, dice_loss

SegmentationLoss = Literal["dice", "bce", "dice_bce", "focal_dice"]


def segmentation_loss(logits: Tensor, target: Tensor, *, kind: SegmentationLoss) -> Tensor:
    """Return Dice, binary cross-entropy, their sum, or ℓ_FD = focal + 0.2 Dice of L-SNet.

    Args:
        logits: (B, 1, *S).
        target: (B, 1, *S), binary.
        kind: Which loss.

    Returns:
        Scalar.

    Raises:
        ValueError: The shapes differ, or are not (B, 1, *S).
    """
    if kind == "focal_dice":
        return focal_dice_loss(logits, target)
    if kind == "bce":
        return bce_loss(logits, target)
    dice = dice_loss(logits.sigmoid(), target)
    return dice if kind == "dice" else dice + bce_loss(logits, target)
