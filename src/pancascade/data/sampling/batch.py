"""Batch of a training step."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Images and labels of a training step.

    Attributes:
        images: (B, C, *S) in [0, 1]; several channels are a slice and its neighbours.
        labels: (B, *S) uint8, ids of `pancascade.labels.Label`, or of its helper organs.
        names: Name of each slice or volume.
    """

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]
