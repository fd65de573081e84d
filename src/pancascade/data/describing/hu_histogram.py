"""Hounsfield units of a tissue as a histogram with bins of 1 HU, which can be pooled over many scans."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancascade.settings import Settings

LOWEST_HU, HIGHEST_HU = -1100, 2100
"""Ends of the histogram; values beyond (padding, metal) are counted in the last bins."""

_EACH_HU = np.arange(LOWEST_HU, HIGHEST_HU + 1, dtype=np.float64)


class HuStatistics(Settings):
    """Distribution of the Hounsfield units of a tissue.

    A percentile is the smallest whole HU at or below which that percentage of the voxels lies.

    Attributes:
        voxels: Number of voxels.
        mean_hu: Mean.
        sd_hu: Standard deviation of all voxels (n, not n − 1).
        minimum_hu: Smallest value.
        p0_5_hu: 0.5th percentile.
        p5_hu: 5th percentile.
        median_hu: 50th percentile.
        p95_hu: 95th percentile.
        p99_5_hu: 99.5th percentile.
        maximum_hu: Largest value.
    """

    voxels: int
    mean_hu: float
    sd_hu: float
    minimum_hu: float
    p0_5_hu: float
    p5_hu: float
    median_hu: float
    p95_hu: float
    p99_5_hu: float
    maximum_hu: float


class TissueHu(Settings):
    """The Hounsfield units of one tissue.

    Attributes:
        statistics: Summary statistics.
        first_hu: HU of the first count.
        counts: Number or share of voxels of each HU from first_hu on, without the zeros at both ends.
    """

    statistics: HuStatistics
    first_hu: int
    counts: tuple[float, ...]


class HuCounter:
    """Counter of voxels by whole HU, array by array.

    Attributes:
        not_finite: Number of NaN and infinite values, which are ignored.
    """

    def __init__(self) -> None:
        self.not_finite = 0
        self._counts = np.zeros(HIGHEST_HU - LOWEST_HU + 1, np.int64)
        self._sum = self._square_sum = 0.0
        self._least, self._most = math.inf, -math.inf

    def add(self, hu: NDArray[Any]) -> None:
        """Count the values of an array of any shape and dtype."""
        if not hu.size:
            return
        if hu.dtype.kind in "iub" and int(hu.min()) >= LOWEST_HU and int(hu.max()) <= HIGHEST_HU:
            counts = np.bincount(hu.ravel().astype(np.int64) - LOWEST_HU, minlength=self._counts.size)
            self._note(counts, _EACH_HU, weights=counts)
            return
        values = hu.ravel().astype(np.float64)
        finite = values[np.isfinite(values)]
        self.not_finite += values.size - finite.size
        bins = np.rint(np.clip(finite, LOWEST_HU, HIGHEST_HU)).astype(np.int64) - LOWEST_HU
        self._note(np.bincount(bins, minlength=self._counts.size), finite, weights=np.ones_like(finite))

    def _note(self, counts: NDArray[np.int64], values: NDArray[np.float64], *, weights: NDArray[Any]) -> None:
        """Add counts, and update sum, square sum, minimum and maximum of the values."""
        self._counts += counts
        self._sum += float(weights @ values)
        self._square_sum += float(weights @ values**2)
        there = values[weights > 0]
        if there.size:
            self._least, self._most = min(self._least, float(there.min())), max(self._most, float(there.max()))

    def result(self) -> TissueHu | None:
        """Return the counts and statistics; None without values."""
        voxels = int(self._counts.sum())
        if not voxels:
            return None
        mean = self._sum / voxels
        sd = math.sqrt(max(0.0, self._square_sum / voxels - mean**2))
        return _summed_up(self._counts, voxels=voxels, mean=mean, sd=sd, least=self._least, most=self._most)


class HuPool:
    """Pool of one tissue over many cases; each case has the same weight, regardless of its voxels.

    Source: nnU-Net draws the same number of voxels from each case (fingerprint extractor).
    """

    def __init__(self) -> None:
        self._shares = np.zeros(HIGHEST_HU - LOWEST_HU + 1, np.float64)
        self._found: list[HuStatistics] = []

    def add(self, case: TissueHu) -> None:
        """Add a case."""
        start = case.first_hu - LOWEST_HU
        counts = np.array(case.counts)
        self._shares[start : start + counts.size] += counts / counts.sum()
        self._found.append(case.statistics)

    def result(self) -> TissueHu | None:
        """Return the pooled tissue with counts as shares of 1; None without a case."""
        if not self._found:
            return None
        mean = _mean(found.mean_hu for found in self._found)
        square = _mean(found.sd_hu**2 + found.mean_hu**2 for found in self._found)
        return _summed_up(
            np.round(self._shares / len(self._found), 12),
            voxels=sum(found.voxels for found in self._found),
            mean=mean,
            sd=math.sqrt(max(0.0, square - mean**2)),
            least=min(found.minimum_hu for found in self._found),
            most=max(found.maximum_hu for found in self._found),
        )

    @property
    def cases(self) -> int:
        """Number of cases that were added."""
        return len(self._found)


def percentile_hu(counts: NDArray[Any], percent: float) -> float:
    """Return the smallest HU at or below which that percentage of a histogram lies.

    Args:
        counts: Counts of each HU from LOWEST_HU to HIGHEST_HU.
        percent: 0…100.
    """
    below = np.cumsum(counts)
    # A share that is missed only by rounding counts as reached.
    return float(np.searchsorted(below, below[-1] * (percent / 100) * (1 - 1e-9)) + LOWEST_HU)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _summed_up(counts: NDArray[Any], *, voxels: int, mean: float, sd: float, least: float, most: float) -> TissueHu:
    occupied = np.flatnonzero(counts)
    first, last = int(occupied[0]), int(occupied[-1])
    percentiles = [percentile_hu(counts, percent) for percent in (0.5, 5, 50, 95, 99.5)]
    statistics = HuStatistics(
        voxels=voxels,
        mean_hu=mean,
        sd_hu=sd,
        minimum_hu=least,
        p0_5_hu=percentiles[0],
        p5_hu=percentiles[1],
        median_hu=percentiles[2],
        p95_hu=percentiles[3],
        p99_5_hu=percentiles[4],
        maximum_hu=most,
    )
    return TissueHu(statistics=statistics, first_hu=first + LOWEST_HU, counts=tuple(counts[first : last + 1].tolist()))
