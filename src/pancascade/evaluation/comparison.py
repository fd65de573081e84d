"""Comparison of several methods on the same cases: tests, ranks, and worst cases."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pancascade.errors import DataError
from pancascade.evaluation.evaluate import Evaluation
from pancascade.evaluation.protocol import Protocol
from pancascade.evaluation.records import CaseRecord
from pancascade.evaluation.values import case_values, metrics_of, overlap_values
from pancascade.metrics import MethodRank, PairedComparison, compare_all, rank_methods


@dataclass(frozen=True)
class MetricComparison:
    """Comparison of the methods by one metric of one target.

    Attributes:
        target: Name of the target.
        metric: Key of the metric.
        values: By method, one number per case; NaN for no value.
        pairs: Every pair of methods, Holm-adjusted over all pairs, each over the cases with both values.
        ranks: Ranks, best first, over the cases that all methods have (if none, over all cases).
    """

    target: str
    metric: str
    values: dict[str, list[float]]
    pairs: tuple[PairedComparison, ...]
    ranks: tuple[MethodRank, ...]


@dataclass(frozen=True)
class Comparison:
    """Comparison of several methods under one protocol.

    Attributes:
        protocol: Protocol of the comparison.
        cases: Names of the cases that at least one method has, in the order of all values.
        patients: Patient of each case.
        metrics: One entry per target and metric of the protocol; signed errors are neither tested nor ranked.
    """

    protocol: Protocol
    cases: tuple[str, ...]
    patients: tuple[str, ...]
    metrics: tuple[MetricComparison, ...]


def compare(evaluations: Sequence[Evaluation], *, targets: Sequence[str]) -> Comparison:
    """Test and rank the methods in the protocol's metrics, case by case.

    The value of a case is that of its whole volume. If the protocol's headline is a mean over slices, it is the case's
    mean over those slices.

    Args:
        evaluations: Evaluations of two or more methods, under one protocol.
        targets: Targets to compare.

    Raises:
        ValueError: Fewer than two methods, or no case.
        DataError: The protocol has no metric with a best direction.
    """
    if len(evaluations) < 2:
        raise ValueError(f"a comparison needs at least two methods, got {len(evaluations)}")
    protocol = evaluations[0].protocol
    known = metrics_of(protocol)
    tested = [key for key in protocol.metrics if known[key].best != "zero"]
    if not tested:
        raise DataError(f"protocol {protocol.name}: signed errors have no best value; also name a metric such as dice.")
    records = [{case.case: case for case in evaluation.cases} for evaluation in evaluations]
    patients = {name: record.patient for found in records for name, record in found.items()}
    cases = sorted(patients)
    compared = []
    for target in targets:
        rows = [
            {name: headline_values(found[name], target, protocol) if name in found else {} for name in cases}
            for found in records
        ]
        for metric in tested:
            values = {
                evaluation.method: [row[name].get(metric, math.nan) for name in cases]
                for evaluation, row in zip(evaluations, rows, strict=True)
            }
            patient_of = [patients[name] for name in cases]
            best_high = known[metric].best == "high"
            compared.append(_compare_metric(target, metric, values, patient_of, protocol, higher_is_better=best_high))
    return Comparison(protocol, tuple(cases), tuple(patients[name] for name in cases), tuple(compared))


def worst_cases(comparison: Comparison, method: str, *, target: str, count: int) -> list[str]:
    """Return the cases with a method's worst values of the protocol's first metric, worst first."""
    first = next(entry for entry in comparison.metrics if entry.target == target)
    values = np.array(first.values[method])
    worse = values if metrics_of(comparison.protocol)[first.metric].best == "high" else -values
    order = [place for place in np.argsort(worse, kind="stable") if not math.isnan(values[place])]
    return [comparison.cases[place] for place in order[:count]]


def headline_values(case: CaseRecord, target: str, protocol: Protocol) -> dict[str, float]:
    """Return the metrics of one case by the protocol's headline."""
    whole = case_values(case, target, protocol)
    if protocol.headline not in ("slices_with_target", "all_slices"):
        return whole
    shown_only = protocol.headline == "slices_with_target"
    slices = [c for c in case.targets[target].slices if c.reference_size or not shown_only]
    by_slice = overlap_values(slices, protocol.empty)
    del by_slice["volume_error"]
    means = {metric: column[~np.isnan(column)] for metric, column in by_slice.items()}
    return whole | {metric: float(column.mean()) if len(column) else math.nan for metric, column in means.items()}


def _compare_metric(
    target: str,
    metric: str,
    values: dict[str, list[float]],
    patients: list[str],
    protocol: Protocol,
    *,
    higher_is_better: bool,
) -> MetricComparison:
    pairs = compare_all(
        values, patients, higher_is_better=higher_is_better, resamples=protocol.resamples, seed=protocol.seed
    )
    # A method without the difficult cases would rank too high.
    complete = [n for n in range(len(patients)) if not any(math.isnan(column[n]) for column in values.values())]
    places = complete or range(len(patients))
    ranks = rank_methods(
        {method: [column[n] for n in places] for method, column in values.items()},
        [patients[n] for n in places],
        higher_is_better=higher_is_better,
        resamples=protocol.resamples,
        seed=protocol.seed,
    )
    return MetricComparison(target, metric, values, tuple(pairs), tuple(ranks))
