"""Paired comparison of methods on the same cases.

The patient is the unit of every test: the mean difference of a patient's cases counts once.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pancascade.metrics.bootstrap import Interval, Resamples
from pancascade.metrics.ranking import settle

_NAN = float("nan")
_ENUMERATED = 13
"""Up to this number SciPy enumerates all signs if some differences are zero; without zeros p is equal, and faster."""


@dataclass(frozen=True)
class PairedComparison:
    """Comparison of two methods; differences are first − second.

    Attributes:
        first: Name of the first method.
        second: Name of the second method.
        pairs: n, number of cases in which both have a value.
        patients: Number of patients of those cases.
        mean_difference: Mean over the cases, with its 95 % bootstrap interval over patients.
        median_difference: Median over the cases.
        wilcoxon_p: Two-sided signed-rank test on the patients' mean differences, without zeros; 1 if all are zero.
        holm_p: That p-value after Holm's adjustment over the pairs of compare_all; NaN outside of it.
        cohens_dz: Mean / standard deviation of the patients' differences; 0 if all are zero, NaN if they are equal and
            not zero, or for one patient.
        rank_biserial: (W⁺ − W⁻) / (W⁺ + W⁻), the rank sums of the test's differences above and below zero, in
            [−1, 1]; 0 if all are zero.
        wins: Cases in which the first is better.
        ties: Cases in which both are equal.
        losses: Cases in which the second is better.

    Source: d_z: Lakens 2013 (Frontiers in Psychology 4, 863). Rank-biserial: Kerby 2014 (Comprehensive
    Psychology 3, 11.IT.3.1).
    """

    first: str
    second: str
    pairs: int
    patients: int
    mean_difference: Interval
    median_difference: float
    wilcoxon_p: float
    holm_p: float
    cohens_dz: float
    rank_biserial: float
    wins: int
    ties: int
    losses: int

    def swapped(self) -> "PairedComparison":
        """Return the comparison with both methods exchanged."""
        mean, low, high = self.mean_difference
        return replace(
            self,
            first=self.second,
            second=self.first,
            mean_difference=Interval(-mean, -high, -low),
            median_difference=-self.median_difference,
            cohens_dz=-self.cohens_dz,
            rank_biserial=-self.rank_biserial,
            wins=self.losses,
            losses=self.wins,
        )


def compare_pair(
    first: Sequence[float],
    second: Sequence[float],
    *,
    patients: Sequence[str],
    names: tuple[str, str] = ("first", "second"),
    higher_is_better: bool = True,
    resamples: int = 10_000,
    seed: int = 0,
) -> PairedComparison:
    """Compare two methods over the cases in which both have a value.

    Args:
        first: One number per case; NaN leaves the case out.
        second: The same cases in the same order.
        patients: Patient of each case.
        names: Names of the two methods.
        higher_is_better: Whether the higher value wins a case.
        resamples: Number of bootstrap samples.
        seed: Seed of the resampling.

    Returns:
        The comparison; every statistic is NaN if no pair is left.

    Raises:
        ValueError: The lengths differ, or a value is infinite.
    """
    one, other = (_checked(v, len(patients), name) for v, name in zip((first, second), names, strict=True))
    kept = np.flatnonzero(~(np.isnan(one) | np.isnan(other))).tolist()
    if not kept:
        return PairedComparison(*names, 0, 0, Interval(_NAN, _NAN, _NAN), *(_NAN,) * 5, 0, 0, 0)
    drawn = Resamples.draw([patients[case] for case in kept], resamples=resamples, seed=seed)
    return _compare_complete(one[kept], other[kept], drawn=drawn, names=names, higher_is_better=higher_is_better)


def compare_all(
    values: Mapping[str, Sequence[float]],
    patients: Sequence[str],
    *,
    higher_is_better: bool = True,
    resamples: int = 10_000,
    seed: int = 0,
) -> list[PairedComparison]:
    """Compare every pair of methods, with Holm's adjustment over all pairs.

    Args:
        values: By method, one number per case, the same cases in the same order; NaN is left out pairwise.
        patients: Patient of each case.
        higher_is_better: Whether the higher value wins a case.
        resamples: Number of bootstrap samples.
        seed: Seed of the resampling.

    Returns:
        Pairs in the order of the methods: (1, 2), (1, 3), …, (2, 3), …; ``swapped()`` gives the other direction.

    Raises:
        ValueError: A method does not have one value per case, or a value is infinite.
    """
    comparisons = [
        compare_pair(
            values[first],
            values[second],
            patients=patients,
            names=(first, second),
            higher_is_better=higher_is_better,
            resamples=resamples,
            seed=seed,
        )
        for first, second in combinations(values, 2)
    ]
    adjusted = holm([comparison.wilcoxon_p for comparison in comparisons])
    return [replace(comparison, holm_p=p) for comparison, p in zip(comparisons, adjusted, strict=True)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm-adjusted p-values: the i-th smallest of m becomes max over j ≤ i of (m − j + 1) p_j, at most 1.

    Args:
        p_values: p-values of one family of tests; NaN stays NaN and is not counted in m.

    Source: Holm 1979 (Scandinavian Journal of Statistics 6, 65–70).
    """
    numbers = np.asarray(p_values, np.float64)
    adjusted = np.full(numbers.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(numbers))
    order = tested[np.argsort(numbers[tested], kind="stable")]
    steps = np.arange(len(order), 0, -1) * numbers[order]
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted.tolist()


def _compare_complete(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    *,
    drawn: Resamples,
    names: tuple[str, str],
    higher_is_better: bool,
) -> PairedComparison:
    """Compare two methods that have a finite value in every case; needs at least one case."""
    difference, size = first - second, np.abs([first, second]).max()
    owners = drawn.patient_of_case
    by_patient = settle(np.bincount(owners, difference) / np.bincount(owners), size)
    by_case = settle(difference if higher_is_better else -difference, size)
    wins, losses = int(np.count_nonzero(by_case > 0)), int(np.count_nonzero(by_case < 0))
    return PairedComparison(
        *names,
        pairs=by_case.size,
        patients=by_patient.size,
        mean_difference=drawn.ratio_interval(difference),
        median_difference=float(np.median(difference)),
        wilcoxon_p=_wilcoxon_p(by_patient),
        holm_p=_NAN,
        cohens_dz=_cohens_dz(by_patient),
        rank_biserial=_rank_biserial(by_patient),
        wins=wins,
        ties=by_case.size - wins - losses,
        losses=losses,
    )


def _checked(values: Sequence[float], cases: int, name: str) -> NDArray[np.float64]:
    numbers = np.asarray(values, np.float64)
    if numbers.shape != (cases,):
        raise ValueError(f"{name} has shape {numbers.shape}; expected ({cases},), give NaN where a case has no value")
    infinite = np.flatnonzero(np.isinf(numbers))
    if infinite.size:
        raise ValueError(
            f"{name}: the value of case {infinite[0]} is infinite and has no difference. "
            "Give a finite penalty for a miss, or NaN to leave the case out"
        )
    return numbers


def _wilcoxon_p(differences: NDArray[np.float64]) -> float:
    if not differences.any():
        return 1.0
    from scipy.stats import wilcoxon  # its import takes as long as all others together

    if len(differences) <= _ENUMERATED:
        differences = differences[differences != 0]
    return float(wilcoxon(differences, zero_method="wilcox", alternative="two-sided").pvalue)


def _cohens_dz(differences: NDArray[np.float64]) -> float:
    if not differences.any():
        return 0.0
    if np.ptp(differences) == 0:  # also for one patient; the computed deviation of equal numbers is not exactly zero
        return math.nan
    return float(differences.mean() / differences.std(ddof=1))


def _rank_biserial(differences: NDArray[np.float64]) -> float:
    apart = differences[differences != 0]
    if not apart.size:
        return 0.0
    from scipy.stats import rankdata

    ranks = rankdata(np.abs(apart))
    return float((ranks[apart > 0].sum() - ranks[apart < 0].sum()) / ranks.sum())
