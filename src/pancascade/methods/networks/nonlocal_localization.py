"""Non-local localization module: a coarse localization of the tumour (Qiu et al. 2024, Fig. 5)."""

from typing import Literal

import torch
from torch import Tensor, nn

Eq8Variant = Literal["code", "literal"]


def channel_attention(features: Tensor, gamma: Tensor) -> Tensor:
    """Return F' = γ softmax_row(X Xᵀ) X + F with X the features as (C, N) (Eqs. 5 and 6).

    Args:
        features: (B, C, H, W).
        gamma: Learnable scalar, initially 1.

    Returns:
        (B, C, H, W).
    """
    rows = features.flatten(2)
    attention = torch.softmax(rows @ rows.transpose(1, 2), dim=-1)
    return gamma * (attention @ rows).view_as(features) + features


def spatial_attention(queries: Tensor, keys: Tensor, values: Tensor, *, eq8: Eq8Variant = "code") -> Tensor:
    """Sum the values of all positions at each position, weighted by attention (Eqs. 7 and 8, without γ' and the skip).

    Args:
        queries: (B, C/8, N).
        keys: (B, C/8, N).
        values: (B, C, N).
        eq8: ``code``: Σ_j V_j A'_ij, sum over the normalised index; ``literal``: Σ_j V_j A'_ji, Eq. 8 as printed.

    Returns:
        (B, C, N).
    """
    attention = torch.softmax(queries.transpose(1, 2) @ keys, dim=-1)
    return values @ (attention.transpose(1, 2) if eq8 == "code" else attention)


class NonLocalLocalization(nn.Module):
    """Channel attention, then spatial attention, then a 7×7 map of the target.

    Parameters with 512 channels: 353,411.

    Source: Qiu et al. 2024, §3.2.1, Eqs. 5–8.
    """

    def __init__(self, channels: int = 512, *, eq8: Eq8Variant = "code") -> None:
        super().__init__()
        self.eq8: Eq8Variant = eq8
        self.channel_gamma = nn.Parameter(torch.ones(1))
        self.spatial_gamma = nn.Parameter(torch.ones(1))
        self.query = nn.Conv2d(channels, channels // 8, 1)
        self.key = nn.Conv2d(channels, channels // 8, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.map = nn.Conv2d(channels, 1, 7, padding=3)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return features F'' (B, C, H, W) and map logits (B, 1, H, W) of features (B, C, H, W)."""
        # Attention sums over all positions, for which bfloat16 is not precise enough.
        with torch.autocast(features.device.type, enabled=False):
            by_channel = channel_attention(features.float(), self.channel_gamma)
            gathered = spatial_attention(
                self.query(by_channel).flatten(2),
                self.key(by_channel).flatten(2),
                self.value(by_channel).flatten(2),
                eq8=self.eq8,
            )
            by_position = self.spatial_gamma * gathered.view_as(by_channel) + by_channel
        return by_position, self.map(by_position)


class PlainMap(nn.Module):
    """Only the 7×7 map, which replaces the localization module in the ablation without it."""

    def __init__(self, channels: int = 512) -> None:
        super().__init__()
        self.map = nn.Conv2d(channels, 1, 7, padding=3)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the unchanged features and map logits (B, 1, H, W) of features (B, C, H, W)."""
        return features, self.map(features)
