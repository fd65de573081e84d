"""How well a box found by stage 1 covers the target."""

import math
from typing import NamedTuple

from pancascade.imaging.volume import Box


class Region(NamedTuple):
    """A box whose edges may lie between pixels, 2-D or 3-D, half-open as `pancascade.imaging.volume.Box`.

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
    """Two numbers in [0, 1] that a located box is judged by."""

    recall: float
    iou: float


def box_overlap(found: Box | Region | None, true: Box | Region | None) -> BoxOverlap:
    """Recall |B ∩ B̂| / |B| and IoU |B ∩ B̂| / |B ∪ B̂| of a found box against the true one, by voxels.

    Args:
        found: B̂, 2-D or 3-D; None where nothing was found.
        true: B, the target's box without margin; None where there is no target.

    Returns:
        Both 0 where one of the two is missing, both NaN where there is nothing to find.

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
