"""Confidence intervals by resampling patients.

A patient is drawn with all its cases (the cluster bootstrap): slices and scans of one patient are not
independent of each other. The same draws serve every statistic, so that methods meet on the same patients.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

_CHUNK = 1_000_000
"""Numbers worked on at a time, so that memory stays small whatever the count of patients and cases."""


FEWEST_PATIENTS = 2
"""Patients without whom there is no interval: one patient, drawn again and again, never differs from himself."""


class Interval(NamedTuple):
    """A mean with its 95 % interval; the limits are NaN where fewer than two patients have a value."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Resamples:
    """R bootstrap samples of P patients, who have N cases between them.

    Attributes:
        drawn: (R, P) int64, the patients of each resample, by their place in the sorted names.
        patient_of_case: (N,) int64, the place of each case's patient.
    """

    drawn: NDArray[np.int64]
    patient_of_case: NDArray[np.int64]

    @classmethod
    def draw(cls, patients: Sequence[str], *, resamples: int = 10_000, seed: int = 0) -> "Resamples":
        """Draw as many patients as there are, with replacement.

        Args:
            patients: Whose each case is, (N,).
            resamples: R.
            seed: The same seed and names give the same draws, in whatever order the cases come.

        Raises:
            ValueError: There is no case, or no resample is asked for.
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
        """(R, P): how often each patient is drawn; every row sums to P."""
        count = self.drawn.shape[1]
        times = np.empty(self.drawn.shape, np.int32)
        for rows in self._chunks(count):
            drawn = self.drawn[rows]
            places = drawn + count * np.arange(len(drawn))[:, None]
            times[rows] = np.bincount(places.ravel(), minlength=drawn.size).reshape(drawn.shape)
        return times

    def case_weights(self) -> NDArray[np.int32]:
        """(R, N): how often each case is drawn, for statistics that are neither a ratio nor a quantile."""
        return self.multiplicities[:, self.patient_of_case]

    def of_ratio(self, numerators: ArrayLike, denominators: ArrayLike = 1.0) -> NDArray[np.float64]:
        """Sum of numerators over sum of denominators in each resample.

        A mean has denominators 1; pooled Dice has numerators 2TP and denominators 2TP + FP + FN.

        Args:
            numerators: (N,); a case with NaN here or below counts in neither sum.
            denominators: (N,), or one number for all cases.

        Returns:
            (R,); NaN where the denominators sum to 0.

        Raises:
            ValueError: There is not one number a case.
        """
        above, below = self._sums_by_patient(numerators, denominators)
        samples = np.empty(len(self.drawn))
        for rows in self._chunks(len(above)):
            drawn = self.drawn[rows]
            with np.errstate(invalid="ignore"):
                samples[rows] = _divide(above[drawn].sum(axis=1), below[drawn].sum(axis=1))
        return samples

    def ratio(self, numerators: ArrayLike, denominators: ArrayLike = 1.0) -> float:
        """The ratio over all cases as they are, each once; arguments, NaN and errors as in of_ratio."""
        above, below = self._sums_by_patient(numerators, denominators)
        with np.errstate(invalid="ignore"):  # infinities of both signs make NaN
            return float(_divide(above.sum(), below.sum()))

    def ratio_interval(self, numerators: ArrayLike, denominators: ArrayLike = 1.0) -> Interval:
        """That ratio with its 95 % interval; without one where fewer than two patients count in either sum."""
        ratio, samples = self.ratio(numerators, denominators), self.of_ratio(numerators, denominators)
        above, below = self._sums_by_patient(numerators, denominators)
        return self.interval(ratio, samples, patients=int(np.count_nonzero((above != 0) | (below != 0))))

    def quantile(self, values: ArrayLike, q: float) -> NDArray[np.float64]:
        """Quantile of the cases of each resample: np.quantile of the values written out as often as drawn.

        Args:
            values: (N,); NaN is left out.
            q: In [0, 1]; 0.5 is the median.

        Returns:
            (R,), linear between neighbouring values; NaN where no value is drawn.

        Raises:
            ValueError: There is not one value a case, or q is outside [0, 1].
        """
        if not 0 <= q <= 1:
            raise ValueError(f"q is {q}; a quantile lies in [0, 1]")
        numbers = _one_a_case(values, len(self.patient_of_case), "values")
        order = np.argsort(numbers, kind="stable")[: np.count_nonzero(~np.isnan(numbers))]  # NaN sorts last
        ordered, owners = numbers[order], self.patient_of_case[order]
        samples = np.empty(len(self.drawn))
        for rows in self._chunks(max(len(order), 1)):
            samples[rows] = _weighted_quantile(ordered, self.multiplicities[rows][:, owners], q)
        return samples

    def median(self, values: ArrayLike) -> NDArray[np.float64]:
        """(R,): median of the cases of each resample; as quantile."""
        return self.quantile(values, 0.5)

    @staticmethod
    def interval(point: float, samples: ArrayLike, *, patients: int = FEWEST_PATIENTS) -> Interval:
        """A statistic with the 2.5th and 97.5th percentile of its resamples.

        Args:
            point: The statistic of the data as they are.
            samples: (R,); NaN is left out. Where some are infinite, the limits are samples, not between two.
            patients: How many of them the statistic depends on.

        Returns:
            NaN limits if every sample is NaN, or the statistic is one patient's.
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
        """Consecutive resamples, as many at a time as make up _CHUNK numbers of so many a row."""
        step = max(1, _CHUNK // width)
        return (slice(start, start + step) for start in range(0, len(self.drawn), step))


def patient_bootstrap(
    values: Sequence[float], patients: Sequence[str], *, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Mean of values and its 95 % percentile interval, resampling patients with all their values.

    Args:
        values: One number a slice (or case); NaN is left out, and a patient with nothing else is as if absent.
        patients: Whose each value is.
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
    """Quantile of ascending values (N,) for each row of their weights (R, N); NaN where a row has no weight."""
    if not ordered.size:
        return np.full(len(weights), np.nan)
    cumulative = np.cumsum(weights, axis=1, dtype=np.int64)
    total = cumulative[:, -1]
    place = q * np.maximum(total - 1, 0)
    floor = np.floor(place)
    # A value holds the places from the weight before it to the weight up to it.
    left, right = (
        ordered[np.minimum((cumulative <= step[:, None]).sum(axis=1), len(ordered) - 1)] for step in (floor, floor + 1)
    )
    share = place - floor
    with np.errstate(invalid="ignore"):  # between infinities
        between = np.where((share == 0) | (left == right), left, left + share * (right - left))
    return np.where(total > 0, between, np.nan)
