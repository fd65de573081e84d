"""One number over slices or scans, with its spread and its interval over patients."""

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
        mean: Over `count` values, or the ratio of the pooled counts.
        low: Lower end of the 95 % interval, resampling patients; NaN where fewer than two have a value.
        high: Upper end; likewise.
        sd: Standard deviation of the values (n − 1); None of fewer than two, and of pooled counts.
        minimum: Smallest value.
        median: Median.
        maximum: Largest value.
        count: Slices or scans that count.
        left_out: Slices or scans without a value under the protocol.
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
        """The statistic of one value or more, (N,), none of them NaN, whose mean and interval are known."""
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
        """The statistic where there is no value."""
        return cls(math.nan, math.nan, math.nan, None, None, None, None, count=0, left_out=left_out)


def statistic_of(
    values: Sequence[float], patients: Sequence[str], *, resamples: int = 10_000, seed: int = 0
) -> Statistic:
    """Mean of values with its interval, resampling patients with all their values.

    Args:
        values: One a slice or scan; NaN is left out.
        patients: Whose each value is.
        resamples: Number of bootstrap samples.
        seed: Of the bootstrap.
    """
    pairs = [(value, patient) for value, patient in zip(values, patients, strict=True) if not math.isnan(value)]
    left_out = len(values) - len(pairs)
    if not pairs:
        return Statistic.none(left_out=left_out)
    known = np.array([value for value, _ in pairs])
    drawn = Resamples.draw([patient for _, patient in pairs], resamples=resamples, seed=seed)
    return Statistic.of(known, drawn.ratio_interval(known), left_out=left_out)
