"""Histograms of predicted probabilities, in place of all voxels, which are too many to keep."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pancascade.metrics.calibration import checked_samples, clipped_logit

BINS = 1000
"""Number of bins; a tenth of the probability is a whole number of bins."""


@dataclass(frozen=True, eq=False)
class VoxelCounts:
    """Histogram of predicted probabilities of negative and positive voxels.

    Attributes:
        weight: (2, BINS) numbers or weights of negative and positive voxels.
        logits: (2, BINS) sums of their clipped logits, which give the exact mean in each bin.
    """

    weight: NDArray[np.float64]
    logits: NDArray[np.float64]

    @classmethod
    def nothing(cls) -> Self:
        """Return counts without voxels."""
        return cls(np.zeros((2, BINS)), np.zeros((2, BINS)))

    @classmethod
    def of(cls, probabilities: NDArray[np.floating[Any]], truth: NDArray[np.bool_], *, least: float = 0.0) -> Self:
        """Count voxels.

        Args:
            probabilities: Probabilities of any shape, in [0, 1].
            truth: Whether each voxel is positive, of the same shape.
            least: Voxels of lower probability are left out, positive or not: a choice by the truth would distort the
                measured curve.

        Raises:
            ValueError: The shapes differ, or a probability is outside [0, 1].
        """
        p, true, _ = checked_samples(probabilities, truth, None)
        kept = p >= least
        p, true = p[kept], true[kept]
        place = np.minimum((p * BINS).astype(np.int64), BINS - 1) + BINS * true
        sums = [np.bincount(place, of, 2 * BINS).astype(np.float64) for of in (np.ones_like(p), clipped_logit(p))]
        return cls(sums[0].reshape(2, BINS), sums[1].reshape(2, BINS))

    def __add__(self, other: "VoxelCounts") -> "VoxelCounts":
        return VoxelCounts(self.weight + other.weight, self.logits + other.logits)

    @property
    def total(self) -> float:
        """Sum of all weights."""
        return float(self.weight.sum())

    def as_one(self) -> "VoxelCounts":
        """Return the counts with weights that sum to 1, so that each patient counts equally; empty stays empty."""
        total = self.total or 1.0
        return VoxelCounts(self.weight / total, self.logits / total)

    def samples(self) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
        """Return probabilities, truth and weights (N,): one sample per occupied bin, negative and positive."""
        used = self.weight > 0
        weight = self.weight[used]
        truth = np.repeat([[False], [True]], BINS, axis=1)[used]
        return 1 / (1 + np.exp(-self.logits[used] / weight)), truth, weight
