"""Votes: one mask of several."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

VoteRule = Literal["majority", "mean"]


def majority_vote(masks: Sequence[Tensor]) -> Tensor:
    """What more than half of the masks hold: two of three. Ties are lost.

    Args:
        masks: Of one shape, boolean or 0 and 1.

    Returns:
        Of that shape, boolean.

    Raises:
        ValueError: No mask is given, or their shapes differ.

    Source: Zhao et al. 2019, §3.4 (methods.md §D4).
    """
    return 2 * _stacked(masks).bool().sum(dim=0) > len(masks)


def mean_vote(probabilities: Sequence[Tensor]) -> Tensor:
    """Where the mean of the probabilities is at least ½.

    Args:
        probabilities: Of one shape, in [0, 1]; 0 where a map knows nothing, such as outside its crop.

    Returns:
        Of that shape, boolean.

    Raises:
        ValueError: No map is given, or their shapes differ.

    Source: option of methods.md §D4.
    """
    return voted_probability(probabilities, rule="mean") >= 0.5


def voted_probability(probabilities: Sequence[Tensor], *, rule: VoteRule) -> Tensor:
    """A probability that is at least ½ exactly where the vote is won.

    For the majority that is the median (the lower one of an even number): it is at least ½ exactly if more than half
    of the probabilities are.

    Args:
        probabilities: Of one shape, in [0, 1]; 0 where a map knows nothing, such as outside its crop.
        rule: ``majority`` of the maps' own decisions at ½, or their ``mean``.

    Returns:
        Of that shape.

    Raises:
        ValueError: No map is given, or their shapes differ.
    """
    maps = _stacked(probabilities)
    return maps.mean(dim=0) if rule == "mean" else maps.median(dim=0).values


def _stacked(maps: Sequence[Tensor]) -> Tensor:
    shapes = {tuple(one.shape) for one in maps}
    if len(shapes) != 1:
        raise ValueError(f"a vote needs maps of one shape, got {len(maps)} of shapes {sorted(shapes)}")
    return torch.stack(list(maps))
