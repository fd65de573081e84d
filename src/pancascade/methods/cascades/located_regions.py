"""L-Net's hand-over: regions between pixels, and the boxes in whole pixels around them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pancascade.imaging.volume import Box
from pancascade.methods.cascades.protocol import Located
from pancascade.metrics import Region

_ROUNDING = 1e-3
"""Pixels by which float32 may miss a whole edge."""


@dataclass(frozen=True)
class LocatedRegions(Located):
    """L-Net's hand-over.

    Attributes:
        probabilities: Heatmap, (B, 1, H/4, W/4).
        boxes: The regions in whole pixels, inside the image.
        distances: Of every cell, (B, 4, H/4, W/4) in pixels.
        regions: θ of each image's regions, (K, 2, 3).
    """

    distances: Tensor
    regions: tuple[Tensor, ...]


def hull(corners: Tensor, shape: Sequence[int]) -> Region:
    """Smallest region that holds boxes (K, 4), x₁, y₁, x₂, y₂, inside an image."""
    limits = torch.tensor([shape[1], shape[0]], device=corners.device)
    low = corners[:, :2].amin(dim=0).clamp(min=0).tolist()
    high = corners[:, 2:].amax(dim=0).minimum(limits).tolist()
    return Region((low[1], low[0]), (high[1], high[0]))


def whole_pixel_boxes(thetas: Sequence[Tensor], size: tuple[int, int]) -> tuple[tuple[Box, ...], ...]:
    """Regions θ (K, 2, 3) of each image as boxes in whole pixels, clipped."""
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
    """The hand-over as L-Net's.

    Raises:
        TypeError: It is another cascade's.
    """
    if not isinstance(located, LocatedRegions):
        raise TypeError(f"expected the hand-over of L-Net, got {type(located).__name__}; see LSNet.locate")
    return located
