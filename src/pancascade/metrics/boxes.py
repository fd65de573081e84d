"""Overlap of a box of stage 1 with the target's box."""

import math
from typing import NamedTuple

from pancascade.imaging.volume import Box


class Region(NamedTuple):
    """A 2-D or 3-D box with fractional edges, half-open as `pancascade.imaging.volume.Box`.

    Attributes:
        start: First edge along each axis.
        stop: Last edge along each axis, not before the first.
    """

    start: tuple[float, ...]
    stop: tuple[float, ...]

    @property
    def shape(self) -> tuple[float, ...]:
        """Length along each axis."""
        return tuple(stop - start for start, stop in zip(self.start, self.stop, strict=True))


class BoxOverlap(NamedTuple):
    """Recall and IoU of a located box, both in [0, 1]."""

    recall: float
    iou: float


def box_overlap(found: Box | Region | None, true: Box | Region | None) -> BoxOverlap:
    """Return recall |B ∩ B̂| / |B| and IoU |B ∩ B̂| / |B ∪ B̂| of a predicted box, by voxels.

    Args:
        found: B̂, 2-D or 3-D; None if nothing was found.
        true: B, the target's box without margin; None if there is no target.

    Returns:
        Both 0 if only the target exists. Without a target, recall is NaN, and IoU is 0 for a found box, else NaN.

    Source: Zhao et al. 2019, Eqs. 6–7.
    """
    if true is None:
        return BoxOverlap(math.nan, math.nan if found is None else 0.0)
    if found is None:
        return BoxOverlap(0.0, 0.0)
    sides = [
        min(a_stop, b_stop) - max(a_start, b_start)
        for a_start, a_stop, b_start, b_stop in zip(found.start, found.stop, true.start, true.stop, strict=True)
    ]
    both = math.prod(max(side, 0) for side in sides)
    size_found, size_true = math.prod(found.shape), math.prod(true.shape)
    return BoxOverlap(both / size_true, both / (size_found + size_true - both))
