"""Slices drawn on their canvas, and taken off again.

Apart from the canvas, so that whoever only asks for a window or a place loads no torch.
"""

from torch import Tensor
from torch.nn import functional

from pancascade.preprocessing.canvas import Placement


def _pad(maps: Tensor, placement: Placement, fill: float) -> Tensor:
    top, left = placement.offset
    bottom = placement.canvas[0] - placement.resized[0] - top
    right = placement.canvas[1] - placement.resized[1] - left
    return functional.pad(maps, (left, right, top, bottom), value=fill)


def draw(images: Tensor, placement: Placement) -> Tensor:
    """Images (N, C, h, w) on their canvas (N, C, H, W): bilinear, anti-aliased, 0 outside."""
    if placement.resized != placement.native:
        images = functional.interpolate(
            images, size=placement.resized, mode="bilinear", align_corners=False, antialias=True
        )
    return _pad(images, placement, 0.0)


def draw_labels(labels: Tensor, placement: Placement) -> Tensor:
    """Label maps (N, h, w) uint8 on their canvas (N, H, W): nearest neighbour, 0 outside."""
    resized = functional.interpolate(labels[:, None], size=placement.resized, mode="nearest-exact")
    return _pad(resized, placement, 0)[:, 0]


def take_off(maps: Tensor, placement: Placement) -> Tensor:
    """Maps (N, C, H, W) of the canvas back on the slices' own pixels (N, C, h, w), bilinear.

    The part of a slice that did not fit on the canvas gets 0.
    """
    if any(r > c for r, c in zip(placement.resized, placement.canvas, strict=True)):
        maps = _pad_back(maps, placement)
    top, left = (max(offset, 0) for offset in placement.offset)
    found = maps[..., top : top + placement.resized[0], left : left + placement.resized[1]]
    if placement.resized == placement.native:
        return found
    return functional.interpolate(found, size=placement.native, mode="bilinear", align_corners=False)


def _pad_back(maps: Tensor, placement: Placement) -> Tensor:
    missing = [max(0, r - c) for r, c in zip(placement.resized, placement.canvas, strict=True)]
    before = [max(0, -o) for o in placement.offset]
    return functional.pad(maps, (before[1], missing[1] - before[1], before[0], missing[0] - before[0]), value=0.0)
