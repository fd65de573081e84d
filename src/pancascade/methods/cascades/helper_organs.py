"""Additional outputs of stage 1 (ours): helper organs, and whether a slice shows the pancreas."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pancascade.labels import HELPERS_UNKNOWN, HelperOrgan


@dataclass(frozen=True)
class FirstMaps:
    """Logits of stage 1's network.

    Attributes:
        organ: (B, 1, H, W), logits of the pancreas.
        helpers: (B, n, H, W), one map per helper organ; n may be 0.
        presence: (B, 1), logits that the slice shows the pancreas; None if the network has no such output.
    """

    organ: Tensor
    helpers: Tensor
    presence: Tensor | None

    @property
    def probabilities(self) -> Tensor:
        """P (B, 1, H, W): pancreas probability of a pixel, times the probability that the slice shows the pancreas."""
        maps = torch.sigmoid(self.organ)
        return maps if self.presence is None else maps * torch.sigmoid(self.presence)[..., None, None]


def helper_loss(logits: Tensor, labels: Tensor, organs: Sequence[HelperOrgan]) -> Tensor:
    """Return the mean binary cross-entropy of the helper organs' maps where label maps outline them.

    A label map without helper organs has `HELPERS_UNKNOWN` as background. These pixels are ignored; pixels of the
    pancreas count as background of every helper organ.

    Args:
        logits: (B, n, H, W).
        labels: (B, H, W) integer.
        organs: The n helper organs, in channel order.

    Returns:
        Scalar; 0 if no pixel is known.
    """
    target = torch.stack([labels == organ for organ in organs], dim=1).float()
    known = (labels != HELPERS_UNKNOWN)[:, None].expand_as(target).float()
    loss = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (loss * known).sum() / known.sum().clamp(min=1)
