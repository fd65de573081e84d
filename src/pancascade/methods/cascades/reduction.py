"""Reduction of volumes R times along each axis, results on them, and enlargement to full resolution."""

from dataclasses import dataclass
from functools import reduce
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from pancascade.imaging.volume import Box
from pancascade.methods.cascades.protocol import Located

Reduction = Literal["linear", "area"]
LabelReduction = Literal["area", "middle_voxel"]
Enlarging = Literal["linear", "repeat"]


@dataclass(frozen=True)
class LocatedVolume(Located):
    """Localization result of stage 1 in volumes, with probabilities on their own grid, R³ times smaller.

    Attributes:
        probabilities: (B, 1, ⌈I/R⌉, ⌈J/R⌉, ⌈K/R⌉) in [0, 1], of the whole volumes. Entry n along an axis covers the
            voxels R n … R n + R − 1 of the volume.
        boxes: B₁ and B₂ of each volume, in voxels of `field`; empty if stage 1 finds nothing.
        shape: (I, J, K) of the whole volumes.
        field: The part of these volumes that `segment` gets.
    """

    shape: tuple[int, ...]
    field: Box

    def extent(self) -> Box | None:
        """Return the smallest box that contains every box of every volume; None without boxes."""
        boxes = [box for found in self.boxes for box in found]
        return reduce(Box.union, boxes) if boxes else None

    def within(self, part: Box) -> "LocatedVolume":
        """Return the same hand-over for a part of the field: `segment(cut(images, part), located.within(part))`.

        Args:
            part: Box in voxels of the field; contains all boxes, as `extent` does.

        Raises:
            ValueError: A box reaches beyond the part.
        """
        extent = self.extent()
        if extent is not None and not part.contains(extent):
            raise ValueError(f"part {part} must hold all boxes, which fill {extent}")
        back = [-start for start in part.start]
        boxes = tuple(tuple(box.shift(back) for box in found) for found in self.boxes)
        return LocatedVolume(self.probabilities, boxes, self.shape, part.shift(self.field.start))


def reduce_volumes(images: Tensor, factor: int, *, mode: Reduction = "linear") -> Tensor:
    """Reduce volumes (B, C, I, J, K) to (B, C, ⌈I/R⌉, ⌈J/R⌉, ⌈K/R⌉), each voxel from R³.

    ``linear`` repeats the far faces where a side is not a multiple of R.
    """
    if mode == "area":
        return functional.avg_pool3d(images, factor, ceil_mode=True)
    missing = [-side % factor for side in images.shape[2:]]
    if any(missing):
        around = [width for side in reversed(missing) for width in (0, side)]
        images = functional.pad(images, around, mode="replicate")
    small = [side // factor for side in images.shape[2:]]
    return functional.interpolate(images, size=small, mode="trilinear")


def reduce_labels(labels: Tensor, factor: int) -> Tensor:
    """Reduce label maps (B, I, J, K) to (B, ⌈I/R⌉, ⌈J/R⌉, ⌈K/R⌉): the voxel after the middle of each R³."""
    for axis in (1, 2, 3):
        middle = torch.arange(factor // 2, labels.shape[axis] + factor // 2, factor, device=labels.device)
        labels = labels.index_select(axis, middle.clamp(max=labels.shape[axis] - 1))
    return labels


def reduce_masks(masks: Tensor, factor: int, *, mode: LabelReduction = "area") -> Tensor:
    """Reduce binary masks (B, 1, I, J, K) to (B, 1, ⌈I/R⌉, ⌈J/R⌉, ⌈K/R⌉), float.

    Args:
        masks: Masks of 0 and 1.
        factor: R.
        mode: ``area``: 1 if at least half of the R³ voxels are in the mask (at the far faces, half of the existing
            ones); ``middle_voxel``: 1 if the voxel after the middle of R³ is, half a voxel off for even R.

    Source: Zhao et al. 2019, §2.1, which does not say how; methods.md §D3.
    """
    if mode == "middle_voxel":
        return reduce_labels(masks[:, 0], factor)[:, None].float()
    return (functional.avg_pool3d(masks.float(), factor, ceil_mode=True) >= 0.5).float()


def enlarge(coarse: Tensor, factor: int, *, region: Box, mode: Enlarging = "repeat") -> Tensor:
    """Return a region (I, J, K) of a map (i, j, k) enlarged R times.

    Args:
        coarse: Entry n along an axis covers the voxels R n … R n + R − 1, so its position is R n + (R − 1)/2.
        factor: R.
        region: Box in voxels of the enlarged map.
        mode: ``linear`` between the entries' positions, constant beyond the last (for maps of floats); ``repeat``
            each entry.

    Source: Zhao et al. 2019, §2.2.2, which does not say how; methods.md §D4.
    """
    for axis, (start, stop) in enumerate(zip(region.start, region.stop, strict=True)):
        voxels = torch.arange(start, stop, device=coarse.device)
        if mode == "repeat":
            coarse = coarse.index_select(axis, voxels // factor)
            continue
        place = ((voxels + 0.5) / factor - 0.5).clamp(0, coarse.shape[axis] - 1)
        low = place.floor().long()
        high = (low + 1).clamp(max=coarse.shape[axis] - 1)
        share = (place - low).view([-1 if other == axis else 1 for other in range(3)])
        coarse = torch.lerp(coarse.index_select(axis, low), coarse.index_select(axis, high), share.to(coarse.dtype))
    return coarse


def cut(volumes: Tensor, box: Box) -> Tensor:
    """Return a box (B, C, *box.shape) of volumes (B, C, I, J, K); a view."""
    return volumes[(slice(None), slice(None), *box.slices)]


def scaled(box: Box, factor: int) -> Box:
    """Return the voxels of the volume that a box of the reduced grid covers; it may reach beyond the far faces."""
    return Box(tuple(factor * start for start in box.start), tuple(factor * stop for stop in box.stop))
