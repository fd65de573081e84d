"""Calibration: agreement of predicted probabilities with observed frequencies, and scaling of logits."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pancascade.errors import DataError

LOGIT_LIMIT = 8.0
"""Limit of the absolute logit for fitting: a probability of 0.9997, close to the resolution of half precision."""

TEMPERATURE_LIMITS = (0.05, 20.0)
LARGEST_OFFSET = 30.0
"""With these limits, no scaled probability is lost in single precision."""


def fit_temperature(probabilities: ArrayLike, truth: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Return the T of maximum likelihood of the truth under sigmoid(logit(p) / T).

    T above 1 means overconfident probabilities, below 1 underconfident ones. The mean negative log-likelihood is convex
    in 1 / T, so there is one minimum.

    Args:
        probabilities: (N,) in [0, 1]; 0 and 1 count as logits of ±8.
        truth: (N,) whether each sample is positive.
        weights: (N,) not negative; None weights all samples equally.

    Raises:
        DataError: All samples are positive or none is, or the best temperature is infinite or 0: the probabilities
            predict nothing of the truth, or everything.
        ValueError: The shapes differ, or a probability is outside [0, 1].

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2; for two classes, Platt's scaling
        without an offset.
    """
    p, true, weight = _of_both_kinds(probabilities, truth, weights)
    from scipy.optimize import minimize_scalar

    logits = clipped_logit(p)
    low, high = map(math.log, TEMPERATURE_LIMITS)
    found = minimize_scalar(
        lambda log_t: _mean_loss(logits / math.exp(log_t), true, weight), bounds=(low, high), method="bounded"
    )
    return _within_limits(float(math.exp(found.x)), p.size)


class Scaling(NamedTuple):
    """Transformation of a probability: sigmoid(logit(p) / temperature + offset).

    The temperature corrects probabilities that are overconfident or underconfident on both sides of ½. The offset
    corrects probabilities that are too high or too low throughout.
    """

    temperature: float = 1.0
    offset: float = 0.0

    @property
    def inverse(self) -> "Scaling":
        """The inverse transformation."""
        return Scaling(1 / self.temperature, -self.offset * self.temperature)


def fit_scaling(probabilities: ArrayLike, truth: ArrayLike, *, weights: ArrayLike | None = None) -> Scaling:
    """Return temperature and offset of maximum likelihood; arguments and errors as in `fit_temperature`.

    Source: Platt 1999, Probabilistic Outputs for Support Vector Machines; on logits, the two-class form of Guo et al.'s
        vector scaling.
    """
    p, true, weight = _of_both_kinds(probabilities, truth, weights)
    from scipy.optimize import minimize

    logits = clipped_logit(p)

    def loss(at: NDArray[np.float64]) -> float:
        return _mean_loss(at[0] * logits + at[1], true, weight)

    # In slope and offset the loss is convex, in the temperature itself it is not.
    found = minimize(loss, np.array([1.0, 0.0]), method="BFGS")
    slope, offset = map(float, found.x)
    lost = slope <= 0 or abs(offset) > LARGEST_OFFSET
    return Scaling(_within_limits(math.inf if lost else 1 / slope, p.size), offset)


def _within_limits(temperature: float, voxels: int) -> float:
    low, high = TEMPERATURE_LIMITS
    if low * 1.01 < temperature < high / 1.01:
        return temperature
    known = "everything" if temperature < 1 else "nothing"
    raise DataError(
        f"No temperature fits {voxels} voxels: their probabilities tell {known} of the truth. Check that scans and "
        "references belong together, and give more cases."
    )


def apply_scaling(probabilities: ArrayLike, scaling: Scaling) -> NDArray[np.floating[Any]]:
    """Return sigmoid(logit(p) / T + b) exactly: 0, 1 and the order stay; T = 1 with b = 0 changes nothing.

    Args:
        probabilities: Probabilities of any shape, in [0, 1].
        scaling: T > 0 and b.

    Returns:
        Array of the same shape; float32 for float32 and smaller floats, else float64.

    Raises:
        ValueError: T is not a positive number, or b is not finite.
    """
    temperature, offset = scaling
    if not (temperature > 0 and math.isfinite(temperature) and math.isfinite(offset)):
        raise ValueError(f"temperature is {temperature} and must be a positive number; offset is {offset}")
    p = np.asarray(probabilities)
    p = p.astype(np.result_type(p.dtype, np.float32) if p.dtype.kind == "f" else np.float64)
    if scaling == Scaling():
        return p
    said = p ** (1 / temperature)
    return said / (said + math.exp(-offset) * (1 - p) ** (1 / temperature))


@dataclass(frozen=True, eq=False)
class Reliability:
    """Predicted probability against observed frequency, in equal bins of the probability.

    Attributes:
        edges: (B + 1,) edges of the bins.
        count: (B,) number of samples, or sum of their weights.
        confidence: (B,) mean probability; NaN in an empty bin.
        frequency: (B,) share of positive samples; NaN in an empty bin.
        brier: Mean squared difference of probability and truth (0 or 1).
        nll: Mean negative log-likelihood, with clipped logits.
    """

    edges: NDArray[np.float64]
    count: NDArray[np.float64]
    confidence: NDArray[np.float64]
    frequency: NDArray[np.float64]
    brier: float
    nll: float

    @classmethod
    def of(
        cls, probabilities: ArrayLike, truth: ArrayLike, *, weights: ArrayLike | None = None, bins: int = 10
    ) -> Self:
        """Assign samples to bins; a probability on an edge belongs to the bin above it, 1 to the last.

        Raises:
            DataError: There is no sample with weight.
            ValueError: The shapes differ, or a probability is outside [0, 1].
        """
        p, true, weight = checked_samples(probabilities, truth, weights)
        if weight.sum() == 0:
            raise DataError("No voxel to measure calibration on: the model sees the target nowhere. Give other cases.")
        edges = np.linspace(0, 1, bins + 1)
        place = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, bins - 1)
        count = np.bincount(place, weight, bins).astype(np.float64)
        means = [
            np.divide(np.bincount(place, weight * values, bins), count, out=np.full(bins, np.nan), where=count > 0)
            for values in (p, true)
        ]
        brier = float(np.average((p - true) ** 2, weights=weight))
        return cls(edges, count, means[0], means[1], brier, _mean_loss(clipped_logit(p), true, weight))

    @property
    def ece(self) -> float:
        """Expected calibration error: mean of |confidence − frequency| over bins, weighted by count."""
        return float(np.nansum(self.count * np.abs(self.confidence - self.frequency)) / self.count.sum())


def checked_samples(
    probabilities: ArrayLike, truth: ArrayLike, weights: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Check and flatten probabilities, truth and weights; weights of None become 1.

    Raises:
        ValueError: The shapes differ, a probability is outside [0, 1], or a weight is negative.
    """
    p, true = np.asarray(probabilities, np.float64), np.asarray(truth, np.bool_)
    weight = np.ones(p.shape) if weights is None else np.asarray(weights, np.float64)
    if not p.shape == true.shape == weight.shape:
        raise ValueError(f"shapes of probabilities, truth and weights differ: {p.shape}, {true.shape}, {weight.shape}")
    if not ((p >= 0) & (p <= 1)).all() or not (weight >= 0).all():
        raise ValueError("probabilities must lie in [0, 1], and weights may not be negative or NaN")
    return p.ravel(), true.ravel(), weight.ravel()


def _of_both_kinds(
    probabilities: ArrayLike, truth: ArrayLike, weights: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    p, true, weight = checked_samples(probabilities, truth, weights)
    positive = float(weight[true].sum())
    if 0 < positive < weight.sum():
        return p, true, weight
    which = "none of them is" if positive == 0 else "all of them are"
    raise DataError(
        f"No temperature can be fitted to {p.size} voxels: {which} true. Give cases with the target and around it."
    )


def clipped_logit(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log(p / (1 − p)), clipped to ± `LOGIT_LIMIT`."""
    least = 1 / (1 + math.exp(LOGIT_LIMIT))
    clipped = np.clip(p, least, 1 - least)
    return np.log(clipped) - np.log1p(-clipped)


def _mean_loss(logits: NDArray[np.float64], true: NDArray[np.bool_], weight: NDArray[np.float64]) -> float:
    """Return the mean of −log P(truth), without overflow."""
    return float(np.average(np.logaddexp(0, np.where(true, -logits, logits)), weights=weight))
