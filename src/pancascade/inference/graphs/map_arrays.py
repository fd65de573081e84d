"""Maps between the networks, in NumPy: logits to probabilities, probabilities to classes."""

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]
"""Of slices, or of maps of them: (B, C, H, W)."""


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1 / (1 + exp(−x)), without overflow."""
    return np.float32(1) / (np.float32(1) + np.exp(-np.clip(logits, np.float32(-80), np.float32(80))))


def compose_two_classes(second: Images) -> Images:
    """q_b = 1 − P₂, q = P₂ (methods.md §A2)."""
    return np.concatenate((1 - second, second), axis=1)


def compose_three_classes(first: Images, second: Images) -> Images:
    """Return q_b = (1 − P₂)(1 − P₁), q_p = (1 − P₂) P₁, q_t = P₂ (methods.md §A2)."""
    rest = 1 - second
    return np.concatenate((rest * (1 - first), rest * first, second), axis=1)
