"""Overlap of a predicted mask with its reference."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Confusion:
    """Counts of voxels.

    Attributes:
        true_positives: In both masks.
        false_positives: In the prediction only.
        false_negatives: In the reference only.
        true_negatives: In neither.
    """

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    @property
    def dice(self) -> float:
        """2TP / (2TP + FP + FN); NaN if both masks are empty. Qiu et al. 2024, Eq. 18."""
        return _ratio(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN); NaN if both masks are empty."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives + self.false_negatives)

    @property
    def sensitivity(self) -> float:
        """TP / (TP + FN); NaN if the reference is empty. Qiu et al. 2024, Eq. 19."""
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def specificity(self) -> float:
        """TN / (FP + TN); NaN if the reference is full. Qiu et al. 2024, Eq. 20."""
        return _ratio(self.true_negatives, self.true_negatives + self.false_positives)

    @property
    def precision(self) -> float:
        """TP / (TP + FP); NaN if the prediction is empty."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)


def confusion(prediction: NDArray[Any], reference: NDArray[Any]) -> Confusion:
    """Confusion of two binary masks of any equal shape.

    Raises:
        ValueError: The shapes differ.
    """
    if prediction.shape != reference.shape:
        raise ValueError(f"prediction has shape {prediction.shape}, reference {reference.shape}; they must be equal")
    predicted, true = prediction.astype(bool), reference.astype(bool)
    both = int(np.count_nonzero(predicted & true))
    in_prediction, in_reference = int(np.count_nonzero(predicted)), int(np.count_nonzero(true))
    return Confusion(
        both, in_prediction - both, in_reference - both, predicted.size - in_prediction - in_reference + both
    )


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else float("nan")
