"""Ranks of methods on the same cases, with their uncertainty.

As in challenge reports: aggregate-then-rank with a bootstrap over patients, and rank-then-aggregate.

Source: Maier-Hein et al. 2018 (Nature Communications 9, 5217); Wiesenfarth et al. 2021 (Scientific Reports 11,
2369; challengeR).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pancascade.metrics.bootstrap import FEWEST_PATIENTS, Resamples

_DIGITS = 12


@dataclass(frozen=True)
class MethodRank:
    """Rank of one method among M.

    Attributes:
        name: Name of the method.
        cases: Number of cases with a value.
        mean: Mean of the values over those cases.
        rank: Rank of the mean, 1 is best (aggregate-then-rank); ties get the average of their ranks.
        rank_low: 2.5th percentile of that rank over the resamples; NaN for one patient, as the next three.
        rank_median: Median of that rank.
        rank_high: 97.5th percentile of that rank.
        first_share: Share of the resamples in which the method is first; ties share it.
        mean_case_rank: Mean of its rank in each case (rank-then-aggregate); NaN if no method has any value.
    """

    name: str
    cases: int
    mean: float
    rank: float
    rank_low: float
    rank_median: float
    rank_high: float
    first_share: float
    mean_case_rank: float


def rank_methods(
    values: Mapping[str, Sequence[float]],
    patients: Sequence[str],
    *,
    higher_is_better: bool,
    resamples: int = 10_000,
    seed: int = 0,
) -> list[MethodRank]:
    """Rank methods by their mean, with the spread of the ranks over resampled patients.

    A mean leaves NaN out, while NaN ranks last in a single case. For failed cases give a penalty value (Dice 0), so
    that the mean includes them. A method without any value ranks last. A case without any value is ignored.

    Args:
        values: By method, one number per case, the same cases in the same order.
        patients: Patient of each case.
        higher_is_better: True for Dice, False for distances.
        resamples: Number of bootstrap samples.
        seed: Seed of the resampling.

    Returns:
        Ranks, best first; ties keep the given order.

    Raises:
        ValueError: There is no method or no case, or a method does not have one value per case.
    """
    table = _table(values, len(patients))
    drawn = Resamples.draw(patients, resamples=resamples, seed=seed)
    means = np.array([drawn.ratio(column) for column in table.T])
    ranks = _ranks(means[None], higher_is_better=higher_is_better)[0]
    sampled = _ranks(
        np.stack([drawn.of_ratio(column) for column in table.T], axis=1), higher_is_better=higher_is_better
    )
    low, median, high = np.percentile(sampled, [2.5, 50, 97.5], axis=0)
    first = _first_shares(sampled)
    if len(set(patients)) < FEWEST_PATIENTS:
        low, median, high, first = (np.full(len(values), np.nan) for _ in range(4))
    ranked = ~np.isnan(table).all(axis=1)
    by_case = _ranks(table[ranked], higher_is_better=higher_is_better)
    mean_case_ranks = by_case.mean(axis=0) if len(by_case) else np.full(len(values), np.nan)
    counts = np.count_nonzero(~np.isnan(table), axis=0).tolist()
    columns = (means, ranks, low, median, high, first, mean_case_ranks)
    rows = zip(values, counts, *(column.tolist() for column in columns), strict=True)
    return sorted((MethodRank(*row) for row in rows), key=lambda method: method.rank)


def settle(values: ArrayLike, size: ArrayLike) -> NDArray[np.float64]:
    """Round values to 12 digits relative to a size, so that exact ties tie (0.3 − 0.2 and 0.2 − 0.1).

    Args:
        values: Any shape.
        size: Largest magnitude of the original numbers; broadcasts to the values.
    """
    exponent = np.frexp(np.asarray(size, np.float64))[1]
    return np.ldexp(np.round(np.ldexp(np.asarray(values, np.float64), -exponent), _DIGITS), exponent)


def _table(values: Mapping[str, Sequence[float]], cases: int) -> NDArray[np.float64]:
    """Return (N, M): a row per case, a column per method."""
    if not values:
        raise ValueError("no method to rank")
    for name, numbers in values.items():
        if len(numbers) != cases:
            raise ValueError(f"{name} has {len(numbers)} values for {cases} cases; give NaN where one is missing")
    return np.array(list(values.values()), np.float64).T


def _ranks(scores: NDArray[np.float64], *, higher_is_better: bool) -> NDArray[np.float64]:
    """Return ranks along the rows of (R, M), 1 is best; NaN shares the last rank with infinitely bad values."""
    from scipy.stats import rankdata  # its import takes as long as all others together

    if not scores.size:
        return np.zeros(scores.shape)
    worse = -scores if higher_is_better else scores
    size = np.abs(np.where(np.isfinite(worse), worse, 0.0)).max(axis=1, keepdims=True)
    settled = settle(np.where(np.isnan(worse), np.inf, worse), size)
    return np.asarray(rankdata(settled, method="average", axis=1), np.float64)


def _first_shares(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    first = ranks == ranks.min(axis=1, keepdims=True)
    return (first / first.sum(axis=1, keepdims=True)).mean(axis=0)
