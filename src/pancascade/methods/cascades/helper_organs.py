"""What stage 1 learns beside the pancreas: helper organs, and whether a slice shows the pancreas at all; ours."""

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
        organ: (B, 1, H, W), of the pancreas.
        helpers: (B, n, H, W), one map a helper organ; n may be 0.
        presence: (B, 1), whether the slice shows the pancreas; None where the network does not tell.
    """

    organ: Tensor
    helpers: Tensor
    presence: Tensor | None

    @property
    def probabilities(self) -> Tensor:
        """P (B, 1, H, W): of a pixel to be pancreas, times that of the slice to show it."""
        maps = torch.sigmoid(self.organ)
        return maps if self.presence is None else maps * torch.sigmoid(self.presence)[..., None, None]


def helper_loss(logits: Tensor, labels: Tensor, organs: Sequence[HelperOrgan]) -> Tensor:
    """Mean binary cross-entropy of the helper organs' maps where the label maps outline them.

    A label map that outlines none of them has `HELPERS_UNKNOWN` as background; its pixels teach nothing, but those of
    the pancreas, which is no helper organ anywhere.

    Args:
        logits: (B, n, H, W).
        labels: (B, H, W) integer.
        organs: n of them.

    Returns:
        Scalar; 0 where no pixel is known.
    """
    target = torch.stack([labels == organ for organ in organs], dim=1).float()
    known = (labels != HELPERS_UNKNOWN)[:, None].expand_as(target).float()
    loss = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (loss * known).sum() / known.sum().clamp(min=1)
