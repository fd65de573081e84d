"""Confidence intervals by resampling patients.

A patient is drawn with all its cases (cluster bootstrap), because slices and scans of one patient are not independent.
All statistics use the same draws, so methods are compared on the same patients.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

_CHUNK = 1_000_000
"""Numbers per chunk, so that memory stays small for any number of patients and cases."""


FEWEST_PATIENTS = 2
"""Least number of patients for an interval: all resamples of one patient are equal."""


class Interval(NamedTuple):
    """A mean with its 95 % interval; the limits are NaN if fewer than two patients have a value."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Resamples:
    """R bootstrap samples of P patients with N cases.

    Attributes:
        drawn: (R, P) int64, the patients of each resample, as indices of the sorted names.
        patient_of_case: (N,) int64, the index of each case's patient.
    """

    drawn: NDArray[np.int64]
    patient_of_case: NDArray[np.int64]

    @classmethod
    def draw(cls, patients: Sequence[str], *, resamples: int = 10_000, seed: int = 0) -> "Resamples":
        """Draw P patients with replacement, R times.

        Args:
            patients: Patient of each case, (N,).
            resamples: R, number of resamples.
            seed: The same seed and names give the same draws, for any order of the cases.

        Raises:
            ValueError: There is no case, or resamples is less than 1.
        """
        names = sorted(set(patients))
        if not names:
            raise ValueError("no patient to draw: the list of cases is empty")
        if resamples < 1:
            raise ValueError(f"resamples is {resamples}; a bootstrap needs at least 1")
        position = {name: index for index, name in enumerate(names)}
        drawn = np.random.default_rng(seed).integers(len(names), size=(resamples, len(names)))
        return cls(drawn, np.array([position[patient] for patient in patients], np.int64))

    @cached_property
    def multiplicities(self) -> NDArray[np.int32]:
        """(R, P) number of draws of each patient; every row sums to P."""
        count = self.drawn.shape[1]
        times = np.empty(self.drawn.shape, np.int32)
        for rows in self._chunks(count):
            drawn = self.drawn[rows]
            places = drawn + count * np.arange(len(drawn))[:, None]
            times[rows] = np.bincount(places.ravel(), minlength=drawn.size).reshape(drawn.shape)
        return times

    def case_weights(self) -> NDArray[np.int32]:
        """Return (R, N): the number of draws of each case, for statistics that are neither a ratio nor a quantile."""
        return self.multiplicities[:, self.patient_of_case]

    def of_ratio(self, numerators: ArrayLike, denominators: ArrayLike = 1.0) -> NDArray[np.float64]:
        """Return the sum of numerators over the sum of denominators in each resample.

        A mean has denominators 1; pooled Dice has numerators 2TP and denominators 2TP + FP + FN.

        Args:
            numerators: (N,); a case with NaN in either argument counts in neither sum.
            denominators: (N,), or one number for all cases.

        Returns:
            (R,); NaN if the denominators sum to 0.

        Raises:
            ValueError: There is not one number per case.
        """
        above, below = self._sums_by_patient(numerators, denominators)
        samples = np.empty(len(self.drawn))
        for rows in self._chunks(len(above)):
            drawn = self.drawn[rows]
            with np.errstate(invalid="ignore"):
                samples[rows] = _divide(above[drawn].sum(axis=1), below[drawn].sum(axis=1))
        return samples

    def ratio(self, numerators: ArrayLike, denominators: ArrayLike = 1.0) -> float:
        """Return the ratio over all cases, each once; arguments, NaN and errors as in of_ratio."""
        above, below = self._sums_by_patient(numerators, denominators)
        with np.errstate(invalid="ignore"):  # infinities of both signs make NaN
            return float(_divide(above.sum(), below.sum()))

    def ratio_interval(self, numerators: ArrayLike, denominators: ArrayLike = 1.0) -> Interval:
        """Return the ratio with its 95 % interval, which is NaN if fewer than two patients count in either sum."""
        ratio, samples = self.ratio(numerators, denominators), self.of_ratio(numerators, denominators)
        above, below = self._sums_by_patient(numerators, denominators)
        return self.interval(ratio, samples, patients=int(np.count_nonzero((above != 0) | (below != 0))))

    def quantile(self, values: ArrayLike, q: float) -> NDArray[np.float64]:
        """Return the quantile of the cases of each resample: np.quantile of the values, repeated as drawn.

        Args:
            values: (N,); NaN is left out.
            q: Quantile in [0, 1]; 0.5 is the median.

        Returns:
            (R,), linear between neighbouring values; NaN if no value is drawn.

        Raises:
            ValueError: There is not one value per case, or q is outside [0, 1].
        """
        if not 0 <= q <= 1:
            raise ValueError(f"q is {q}; a quantile lies in [0, 1]")
        numbers = _one_a_case(values, len(self.patient_of_case), "values")
        order = np.argsort(numbers, kind="stable")[: np.count_nonzero(~np.isnan(numbers))]  # NaN is sorted last
        ordered, owners = numbers[order], self.patient_of_case[order]
        samples = np.empty(len(self.drawn))
        for rows in self._chunks(max(len(order), 1)):
            samples[rows] = _weighted_quantile(ordered, self.multiplicities[rows][:, owners], q)
        return samples

    def median(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return (R,), the median of the cases of each resample; see quantile."""
        return self.quantile(values, 0.5)

    @staticmethod
    def interval(point: float, samples: ArrayLike, *, patients: int = FEWEST_PATIENTS) -> Interval:
        """Return a statistic with the 2.5th and 97.5th percentile of its resamples.

        Args:
            point: The statistic of the data themselves.
            samples: (R,); NaN is left out. If some are infinite, the limits are samples and not interpolated.
            patients: Number of patients on which the statistic depends.

        Returns:
            The interval; its limits are NaN if every sample is NaN, or for one patient.
        """
        numbers = np.asarray(samples, np.float64)
        numbers = numbers[~np.isnan(numbers)]
        if not numbers.size or patients < FEWEST_PATIENTS:
            return Interval(float(point), float("nan"), float("nan"))
        if np.isfinite(numbers).all():
            low, high = np.percentile(numbers, [2.5, 97.5])
        else:
            low, high = np.percentile(numbers, 2.5, method="lower"), np.percentile(numbers, 97.5, method="higher")
        return Interval(float(point), float(low), float(high))

    def _sums_by_patient(
        self, numerators: ArrayLike, denominators: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        cases, patients = len(self.patient_of_case), self.drawn.shape[1]
        above = _one_a_case(numerators, cases, "numerators")
        below = np.asarray(denominators, np.float64)
        below = np.full(cases, below) if below.ndim == 0 else _one_a_case(below, cases, "denominators")
        kept = ~(np.isnan(above) | np.isnan(below))
        owners = self.patient_of_case[kept]
        sums = [np.bincount(owners, numbers[kept], patients) for numbers in (above, below)]
        return np.asarray(sums[0], np.float64), np.asarray(sums[1], np.float64)

    def _chunks(self, width: int) -> Iterator[slice]:
        """Return slices of consecutive resamples, each of about _CHUNK numbers for rows of ``width``."""
        step = max(1, _CHUNK // width)
        return (slice(start, start + step) for start in range(0, len(self.drawn), step))


def patient_bootstrap(
    values: Sequence[float], patients: Sequence[str], *, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Return the mean of values and its 95 % percentile interval, resampling patients with all their values.

    Args:
        values: One number per slice (or case); NaN is left out, also a patient with only NaN.
        patients: Patient of each value.
        resamples: Number of bootstrap samples.
        seed: Seed of the resampling.

    Raises:
        ValueError: No value is left, or the lengths differ.
    """
    pairs = [(value, patient) for value, patient in zip(values, patients, strict=True) if not np.isnan(value)]
    if not pairs:
        raise ValueError("no value to average: all are NaN, or there are none")
    drawn = Resamples.draw([patient for _, patient in pairs], resamples=resamples, seed=seed)
    return drawn.ratio_interval([value for value, _ in pairs])


def _one_a_case(values: ArrayLike, cases: int, name: str) -> NDArray[np.float64]:
    numbers = np.asarray(values, np.float64)
    if numbers.shape != (cases,):
        raise ValueError(f"{name} has shape {numbers.shape}; expected ({cases},), one number a case")
    return numbers


def _divide(above: ArrayLike, below: ArrayLike) -> NDArray[np.float64]:
    above, below = np.asarray(above, np.float64), np.asarray(below, np.float64)
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below != 0)


def _weighted_quantile(ordered: NDArray[np.float64], weights: NDArray[np.int32], q: float) -> NDArray[np.float64]:
    """Return the quantile of ascending values (N,) for each row of weights (R, N); NaN for a row of zero weight."""
    if not ordered.size:
        return np.full(len(weights), np.nan)
    cumulative = np.cumsum(weights, axis=1, dtype=np.int64)
    total = cumulative[:, -1]
    place = q * np.maximum(total - 1, 0)
    floor = np.floor(place)
    # A value occupies the positions from the weight before it to the weight up to it.
    left, right = (
        ordered[np.minimum((cumulative <= step[:, None]).sum(axis=1), len(ordered) - 1)] for step in (floor, floor + 1)
    )
    share = place - floor
    with np.errstate(invalid="ignore"):  # between infinities
        between = np.where((share == 0) | (left == right), left, left + share * (right - left))
    return np.where(total > 0, between, np.nan)
