"""Overlap of a predicted mask with its reference."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

RATIOS: dict[str, Callable[[Any, Any, Any, Any], tuple[Any, Any]]] = {
    "dice": lambda tp, fp, fn, tn: (2 * tp, 2 * tp + fp + fn),
    "iou": lambda tp, fp, fn, tn: (tp, tp + fp + fn),
    "sensitivity": lambda tp, fp, fn, tn: (tp, tp + fn),
    "specificity": lambda tp, fp, fn, tn: (tn, tn + fp),
    "precision": lambda tp, fp, fn, tn: (tp, tp + fp),
    "volume_error": lambda tp, fp, fn, tn: (fp - fn, tp + fn),
}
"""Numerator and denominator of each metric from the four counts, which may be numbers or arrays.

Source: Qiu et al. 2024, Eqs. 18 (dice), 19 (sensitivity), 20 (specificity).
"""


class Confusion(NamedTuple):
    """Counts of voxels.

    Attributes:
        true_positives: Voxels in both masks.
        false_positives: Voxels in the prediction only.
        false_negatives: Voxels in the reference only.
        true_negatives: Voxels in neither.
    """

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    @property
    def dice(self) -> float:
        """2TP / (2TP + FP + FN); NaN if both masks are empty."""
        return self._ratio("dice")

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN); NaN if both masks are empty."""
        return self._ratio("iou")

    @property
    def sensitivity(self) -> float:
        """TP / (TP + FN); NaN if the reference is empty."""
        return self._ratio("sensitivity")

    @property
    def specificity(self) -> float:
        """TN / (FP + TN); NaN if the reference is full."""
        return self._ratio("specificity")

    @property
    def precision(self) -> float:
        """TP / (TP + FP); NaN if the prediction is empty."""
        return self._ratio("precision")

    @property
    def volume_error(self) -> float:
        """(predicted − reference) / reference volume: 0.1 is 10 % too large; NaN if the reference is empty."""
        return self._ratio("volume_error")

    @property
    def reference_size(self) -> int:
        """Number of voxels of the reference, TP + FN."""
        return self.true_positives + self.false_negatives

    @property
    def prediction_size(self) -> int:
        """Number of voxels of the prediction, TP + FP."""
        return self.true_positives + self.false_positives

    @classmethod
    def total(cls, parts: "Iterable[Confusion]") -> "Confusion":
        """Return the sums of the counts of all parts (pooled voxels)."""
        return cls(*(sum(column) for column in zip(cls(0, 0, 0, 0), *parts, strict=True)))

    def _ratio(self, metric: str) -> float:
        above, below = RATIOS[metric](*self)
        return above / below if below else float("nan")


def confusion(prediction: NDArray[Any], reference: NDArray[Any]) -> Confusion:
    """Return the confusion of two binary masks of any equal shape.

    Args:
        prediction: Boolean or integer; non-zero is foreground.
        reference: Same shape and meaning.

    Raises:
        ValueError: The shapes differ.
    """
    predicted, true = _as_masks(prediction, reference)
    both = int(np.count_nonzero(predicted & true))
    return _counts(both, int(np.count_nonzero(predicted)), int(np.count_nonzero(true)), predicted.size)


def confusion_by_slice(
    prediction: NDArray[Any], reference: NDArray[Any], *, slice_voxels: int | None = None
) -> list[Confusion]:
    """Return the confusion of each axial slice of two binary masks.

    Args:
        prediction: (I, J, K); slices are along K.
        reference: (I, J, K).
        slice_voxels: Voxels of a whole slice, if the masks are a crop and the rest is background in both; None for
            I · J.

    Raises:
        ValueError: The shapes differ.
    """
    predicted, true = _as_masks(prediction, reference)
    size = predicted.shape[0] * predicted.shape[1] if slice_voxels is None else slice_voxels
    both, found, wanted = (np.count_nonzero(mask, axis=(0, 1)).tolist() for mask in (predicted & true, predicted, true))
    return [_counts(*counts, size) for counts in zip(both, found, wanted, strict=True)]


def _as_masks(prediction: NDArray[Any], reference: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    if prediction.shape != reference.shape:
        raise ValueError(f"prediction has shape {prediction.shape}, reference {reference.shape}; they must be equal")
    return prediction.astype(bool, copy=False), reference.astype(bool, copy=False)


def _counts(both: int, found: int, wanted: int, size: int) -> Confusion:
    return Confusion(both, found - both, wanted - both, size - found - wanted + both)
