"""Hand-over of L-Net: subpixel regions, and boxes in whole pixels around them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pancascade.imaging.volume import Box
from pancascade.methods.cascades.protocol import Located
from pancascade.metrics import Region

_ROUNDING = 1e-3
"""Tolerance in pixels for the float32 rounding of an edge."""


@dataclass(frozen=True)
class LocatedRegions(Located):
    """Hand-over of L-Net.

    Attributes:
        probabilities: Heatmap, (B, 1, H/4, W/4).
        boxes: Regions rounded to whole pixels, inside the image.
        distances: Distances of every cell, (B, 4, H/4, W/4), in pixels.
        regions: θ of each image's regions, (K, 2, 3).
    """

    distances: Tensor
    regions: tuple[Tensor, ...]


def hull(corners: Tensor, shape: Sequence[int]) -> Region:
    """Return the smallest region in the image that contains boxes (K, 4), x₁, y₁, x₂, y₂."""
    limits = torch.tensor([shape[1], shape[0]], device=corners.device)
    low = corners[:, :2].amin(dim=0).clamp(min=0).tolist()
    high = corners[:, 2:].amax(dim=0).minimum(limits).tolist()
    return Region((low[1], low[0]), (high[1], high[0]))


def whole_pixel_boxes(thetas: Sequence[Tensor], size: tuple[int, int]) -> tuple[tuple[Box, ...], ...]:
    """Return each image's regions θ (K, 2, 3) as boxes in whole pixels, clipped to the image."""
    height, width = size
    found = []
    for theta in thetas:
        boxes = []
        for (sx, _, tx), (_, sy, ty) in theta.detach().tolist():
            low = (height * (ty + 1 - sy) / 2, width * (tx + 1 - sx) / 2)
            high = (height * (ty + 1 + sy) / 2, width * (tx + 1 + sx) / 2)
            start = [math.floor(edge + _ROUNDING) for edge in low]
            stop = [math.ceil(edge - _ROUNDING) for edge in high]
            boxes.append(Box(tuple(start), tuple(stop)).clip(size))
        found.append(tuple(boxes))
    return tuple(found)


def regions_of(located: Located) -> LocatedRegions:
    """Return the hand-over, checked to be L-Net's.

    Raises:
        TypeError: The hand-over belongs to another cascade.
    """
    if not isinstance(located, LocatedRegions):
        raise TypeError(f"expected the hand-over of L-Net, got {type(located).__name__}; see LSNet.locate")
    return located
