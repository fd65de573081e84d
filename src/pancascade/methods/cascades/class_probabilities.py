"""Composition of the stages' probabilities to class probabilities."""

import torch
from torch import Tensor

from pancascade.methods.losses.arguments import full_precision


def compose_classes(first: Tensor, second: Tensor) -> Tensor:
    """Return the class probabilities of the cascade: background, pancreas, tumour.

    q_b = (1 − P₂)(1 − P₁), q_p = (1 − P₂) P₁, q_t = P₂.

    Args:
        first: P₁, pancreas probability of stage 1, (B, 1, H, W).
        second: P₂, tumour probability of stage 2 on the same canvas, (B, 1, H, W).

    Returns:
        q, (B, 3, H, W), summing to 1.

    Raises:
        ValueError: The shapes differ, or are not (B, 1, H, W).

    Source: methods.md §A2, for Qiu et al. 2024, §3.3.3.
    """
    if first.shape != second.shape or first.ndim != 4 or first.shape[1] != 1:
        raise ValueError(f"expected two maps (B, 1, H, W), got {tuple(first.shape)} and {tuple(second.shape)}")
    p1, p2 = full_precision(first), full_precision(second)
    return torch.cat(((1 - p2) * (1 - p1), (1 - p2) * p1, p2), dim=1)


def compose_two_classes(second: Tensor) -> Tensor:
    """Return the class probabilities if both stages share one label (NIH): (1 − P₂, P₂).

    Args:
        second: P₂, (B, 1, H, W).

    Returns:
        q, (B, 2, H, W).

    Raises:
        ValueError: second is not (B, 1, H, W).

    Source: methods.md §A2 and §0.3; with two classes the frame must count, else the matrix is constant.
    """
    if second.ndim != 4 or second.shape[1] != 1:
        raise ValueError(f"expected a map (B, 1, H, W), got {tuple(second.shape)}")
    p2 = full_precision(second)
    return torch.cat((1 - p2, p2), dim=1)
