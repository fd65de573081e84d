"""Votes that combine several masks into one."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

VoteRule = Literal["majority", "mean"]


def voted_probability(probabilities: Sequence[Tensor], *, rule: VoteRule) -> Tensor:
    """Return a probability that is at least ½ exactly where the vote is positive.

    For ``majority`` it is the median (the lower one of an even number): at least ½ exactly if more than half of the
    probabilities are.

    Args:
        probabilities: Maps of one shape, in [0, 1]; 0 where a map has no value, such as outside its crop.
        rule: ``majority`` of the maps' decisions at ½, or ``mean`` of the maps.

    Returns:
        One map of that shape.

    Raises:
        ValueError: No map is given, or their shapes differ.

    Source: Zhao et al. 2019, §3.4: majority of three; the mean is an option of methods.md §D4.
    """
    maps = _stacked(probabilities)
    return maps.mean(dim=0) if rule == "mean" else maps.median(dim=0).values


def _stacked(maps: Sequence[Tensor]) -> Tensor:
    shapes = {tuple(one.shape) for one in maps}
    if len(shapes) != 1:
        raise ValueError(f"a vote needs maps of one shape, got {len(maps)} of shapes {sorted(shapes)}")
    return torch.stack(list(maps))
