"""Statistic of a metric over slices or scans, with spread and interval over patients."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pancascade.metrics import Interval, Resamples


@dataclass(frozen=True)
class Statistic:
    """A metric over a set of slices or scans.

    Attributes:
        mean: Mean over `count` values, or the ratio of the pooled counts.
        low: Lower end of the 95 % interval over resampled patients; NaN if fewer than two have a value.
        high: Upper end of that interval.
        sd: Standard deviation of the values (n − 1); None for fewer than two, and for pooled counts.
        minimum: Smallest value.
        median: Median.
        maximum: Largest value.
        count: Number of slices or scans that count.
        left_out: Number of slices or scans without a value under the protocol.
    """

    mean: float
    low: float
    high: float
    sd: float | None
    minimum: float | None
    median: float | None
    maximum: float | None
    count: int
    left_out: int

    @classmethod
    def of(cls, values: NDArray[np.float64], interval: Interval, *, left_out: int = 0) -> Self:
        """Return the statistic of at least one value, (N,) without NaN, with known mean and interval."""
        return cls(
            *interval,
            sd=float(values.std(ddof=1)) if len(values) > 1 else None,
            minimum=float(values.min()),
            median=float(np.median(values)),
            maximum=float(values.max()),
            count=len(values),
            left_out=left_out,
        )

    @classmethod
    def none(cls, *, left_out: int = 0) -> Self:
        """Return the statistic of no values."""
        return cls(math.nan, math.nan, math.nan, None, None, None, None, count=0, left_out=left_out)


def statistic_of(
    values: Sequence[float], patients: Sequence[str], *, resamples: int = 10_000, seed: int = 0
) -> Statistic:
    """Return the statistic of values, with an interval over resampled patients.

    Args:
        values: One value per slice or scan; NaN is left out.
        patients: Patient of each value.
        resamples: Number of bootstrap samples.
        seed: Seed of the bootstrap.
    """
    pairs = [(value, patient) for value, patient in zip(values, patients, strict=True) if not math.isnan(value)]
    left_out = len(values) - len(pairs)
    if not pairs:
        return Statistic.none(left_out=left_out)
    known = np.array([value for value, _ in pairs])
    drawn = Resamples.draw([patient for _, patient in pairs], resamples=resamples, seed=seed)
    return Statistic.of(known, drawn.ratio_interval(known), left_out=left_out)
