"""Confidence intervals by resampling patients."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Interval(NamedTuple):
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float


def patient_bootstrap(
    values: Sequence[float], patients: Sequence[str], *, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Mean of values and its 95 % percentile interval, resampling patients with all their values.

    Args:
        values: One number a slice (or case); NaN is left out.
        patients: Whose each value is.
        resamples: Number of bootstrap samples.
        seed: Seed of the resampling.

    Raises:
        ValueError: No value is left, or the lengths differ.
    """
    pairs = [(value, patient) for value, patient in zip(values, patients, strict=True) if not np.isnan(value)]
    if not pairs:
        raise ValueError("no value to average: all are NaN, or there are none")
    names = sorted({patient for _, patient in pairs})
    position = {name: index for index, name in enumerate(names)}
    sums, counts = np.zeros(len(names)), np.zeros(len(names))
    for value, patient in pairs:
        sums[position[patient]] += value
        counts[position[patient]] += 1
    drawn = np.random.default_rng(seed).integers(len(names), size=(resamples, len(names)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(sums.sum() / counts.sum()), float(low), float(high))
