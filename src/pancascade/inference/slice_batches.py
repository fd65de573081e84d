"""Batches of a volume's slices, and what stage 1 hands over between and within them."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pancascade.cascades import Located
from pancascade.inference.finding import Believed
from pancascade.inference.finite_output import require_finite
from pancascade.preprocessing import Placement
from pancascade.preprocessing.drawing import draw

BATCH_SLICES = 8


def parts_of(count: int) -> Iterator[slice]:
    """The batches of so many slices, in order."""
    for start in range(0, count, BATCH_SLICES):
        yield slice(start, min(start + BATCH_SLICES, count))


def interpolated(located: list[Located], looked_at: list[int], count: int) -> list[Located]:
    """The hand-over of every slice in its batches, where only some were looked at: beliefs linear between them."""
    seen = torch.cat([found.probabilities for found in located])
    position = np.interp(np.arange(count), looked_at, np.arange(len(looked_at)))
    below = np.floor(position).astype(int)
    above = np.minimum(below + 1, len(looked_at) - 1)
    share = torch.from_numpy((position - below).astype(np.float32))[:, None, None, None]
    found = []
    for part in parts_of(count):
        belief = seen[below[part]].float() * (1 - share[part]) + seen[above[part]].float() * share[part]
        found.append(Located(belief.half(), ((),) * len(belief)))
    return found


def on_canvas(belief: Believed | None, part: slice, placement: Placement) -> Tensor | None:
    """Somebody else's belief in slices of a volume, (B, 1, H, W)."""
    if belief is None:
        return None
    seen = belief(part.start, part.stop).transpose(2, 1, 0)
    return draw(torch.from_numpy(np.ascontiguousarray(seen))[:, None], placement)


def stored(located: Located) -> Located:
    """The hand-over as it is kept until all slices are located: half precision, in memory, no NaN."""
    return replace(located, probabilities=require_finite(located.probabilities.half().cpu(), stage=1))
