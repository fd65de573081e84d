"""Summaries of a set of cases under all aggregations, with intervals over patients."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pancascade.evaluation.protocol import Aggregation, Protocol
from pancascade.evaluation.records import CaseRecord
from pancascade.evaluation.statistic import Statistic
from pancascade.evaluation.values import case_values, overlap_values
from pancascade.metrics import RATIOS, Confusion, Resamples

Summary = dict[str, dict[Aggregation, dict[str, Statistic]]]
"""Statistic by target, aggregation and metric."""


@dataclass(frozen=True)
class CaseCounts:
    """Numbers of cases with empty masks, to show the effect of rules about them.

    Attributes:
        cases: Number of cases.
        patients: Number of patients.
        without_reference: Number of cases with an empty reference.
        missed: Number of cases with a target and an empty prediction.
        false_alarms: Number of cases without a target and a non-empty prediction.
    """

    cases: int
    patients: int
    without_reference: int
    missed: int
    false_alarms: int


def count_cases(cases: Sequence[CaseRecord], target: str) -> CaseCounts:
    """Count empty masks among the cases."""
    totals = [case.targets[target].total for case in cases]
    return CaseCounts(
        cases=len(cases),
        patients=len({case.patient for case in cases}),
        without_reference=sum(not c.reference_size for c in totals),
        missed=sum(c.reference_size > 0 and not c.prediction_size for c in totals),
        false_alarms=sum(c.prediction_size > 0 and not c.reference_size for c in totals),
    )


def targets_with_voxels(cases: Sequence[CaseRecord]) -> list[str]:
    """Return the targets present in any reference or prediction; the first one if none is."""
    names = list(dict.fromkeys(target for case in cases for target in case.targets))
    shown = [
        name
        for name in names
        if any(c.reference_size or c.prediction_size for case in cases for c in case.targets[name].slices)
    ]
    return shown or names[:1]


def summarise(cases: Sequence[CaseRecord], protocol: Protocol, *, targets: Sequence[str] | None = None) -> Summary:
    """Return every metric under every aggregation.

    Args:
        cases: Cases of one method.
        protocol: Protocol with the rules for empty masks, and the bootstrap.
        targets: Targets; None takes those present in any mask.

    Raises:
        ValueError: There is no case.
    """
    if not cases:
        raise ValueError("no case to summarise")
    resamples = Resamples.draw([case.patient for case in cases], resamples=protocol.resamples, seed=protocol.seed)
    summary: Summary = {}
    for target in targets_with_voxels(cases) if targets is None else targets:
        slices = [case.targets[target].slices for case in cases]
        shown = [[counts for counts in scan if counts.reference_size] for scan in slices]
        whole = [case_values(case, target, protocol) for case in cases]
        summary[target] = {
            "slices_with_target": _means([_slice_values(scan, protocol) for scan in shown], resamples),
            "all_slices": _means([_slice_values(scan, protocol) for scan in slices], resamples),
            "pooled": _pooled([case.targets[target].total for case in cases], resamples),
            "volumes": _means([{key: np.array([v]) for key, v in values.items()} for values in whole], resamples),
        }
    return summary


def _slice_values(slices: Sequence[Confusion], protocol: Protocol) -> dict[str, NDArray[np.float64]]:
    values = overlap_values(slices, protocol.empty)
    del values["volume_error"]  # not meaningful for a slice
    return values


def _means(cases: Sequence[dict[str, NDArray[np.float64]]], resamples: Resamples) -> dict[str, Statistic]:
    """Return means of all values of all cases; each case has any number of values."""
    return {metric: _mean([case[metric] for case in cases], resamples) for metric in cases[0]}


def _mean(values: Sequence[NDArray[np.float64]], resamples: Resamples) -> Statistic:
    everything = np.concatenate(values)
    known = everything[~np.isnan(everything)]
    if not len(known):
        return Statistic.none(left_out=len(everything))
    sums = np.array([np.nansum(case) for case in values])
    counts = np.array([np.count_nonzero(~np.isnan(case)) for case in values])
    interval = resamples.ratio_interval(sums, counts)._replace(mean=float(known.mean()))
    return Statistic.of(known, interval, left_out=len(everything) - len(known))


def _pooled(totals: Sequence[Confusion], resamples: Resamples) -> dict[str, Statistic]:
    """Return the ratios of the summed counts of all cases."""
    columns = np.array(totals, np.float64).T
    statistics = {}
    for metric, parts in RATIOS.items():
        above, below = parts(*columns)
        if below.sum():
            interval = resamples.ratio_interval(above, below)
            statistics[metric] = Statistic(*interval, None, None, None, None, count=len(totals), left_out=0)
    return statistics
