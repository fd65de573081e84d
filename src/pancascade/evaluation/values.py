"""Metric values of slices and scans under a protocol's rule about empty masks."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pancascade.evaluation.protocol import EmptyRule, Protocol
from pancascade.evaluation.quantities import METRICS, Metric, metrics_at
from pancascade.evaluation.records import CaseRecord
from pancascade.metrics import RATIOS, Confusion

_RULED = {"both": {"one": 1.0, "zero": 0.0, "skip": math.nan}, "one": {"zero": 0.0, "skip": math.nan}}


def metrics_of(protocol: Protocol) -> dict[str, Metric]:
    """Return all metrics under a protocol, by key."""
    return metrics_at(protocol.tolerances_mm)


def overlap_values(counts: Sequence[Confusion], rule: EmptyRule) -> dict[str, NDArray[np.float64]]:
    """Return every ratio of the counts of slices or scans, with the rule's values for empty masks.

    Args:
        counts: Counts of N slices or scans.
        rule: Values for empty masks.

    Returns:
        Values (N,) by metric, NaN if left out.
    """
    columns = np.array(counts, np.float64).reshape(-1, 4).T
    values = {}
    for metric, parts in RATIOS.items():
        above, below = parts(*columns)
        ratio = np.divide(above, below, out=np.full(len(counts), np.nan), where=below > 0)
        plain = metric in ("specificity", "volume_error")
        values[metric] = ratio if plain else _ruled(ratio, columns, rule, asks_reference=metric == "sensitivity")
    return values


def _ruled(
    values: NDArray[np.float64], columns: NDArray[np.float64], rule: EmptyRule, *, asks_reference: bool = False
) -> NDArray[np.float64]:
    """Return values of N masks (counts (4, N)), with the rule's values for empty ones."""
    no_reference, no_prediction = columns[0] + columns[2] == 0, columns[0] + columns[1] == 0
    ruled = np.where(np.isnan(values) & no_prediction, _RULED["one"][rule.prediction], values)
    ruled = np.where(no_reference, math.nan if asks_reference else _RULED["one"][rule.reference], ruled)
    return np.where(no_reference & no_prediction, _RULED["both"][rule.both], ruled)


def case_values(case: CaseRecord, target: str, protocol: Protocol) -> dict[str, float]:
    """Return every metric of one target of a whole scan, NaN if left out."""
    record, rule = case.targets[target], protocol.empty
    counts = record.total
    values = {metric: float(value[0]) for metric, value in overlap_values([counts], rule).items()}
    for key, metric in METRICS.items():
        if metric.distance is not None:
            values[key] = _distance(record.distances_mm.get(key), counts, rule, case.diagonal_mm)
    excess_ml = (counts.prediction_size - counts.reference_size) * case.voxel_ml
    values |= {"volume_error_ml": excess_ml, "absolute_volume_error_ml": abs(excess_ml)}
    for key, share in (("box_recall", record.box_recall), ("box_iou", record.box_iou)):
        values[key] = math.nan if share is None else share
    for place, tolerance in enumerate(protocol.tolerances_mm):
        unmeasured = math.nan if counts.reference_size and counts.prediction_size else 0.0
        near = np.array([unmeasured if record.nsd is None else record.nsd[place]])
        values[f"nsd_{tolerance:g}mm"] = float(_ruled(near, np.array([counts], np.float64).T, rule)[0])
        if math.isnan(case.voxel_ml):  # single slices have no surface in mm
            values[f"nsd_{tolerance:g}mm"] = math.nan
    return {key: values[key] for key in metrics_of(protocol)}


def _distance(value_mm: float | None, counts: Confusion, rule: EmptyRule, diagonal_mm: float) -> float:
    if value_mm is not None:
        return value_mm
    one_is_empty = (counts.reference_size == 0) != (counts.prediction_size == 0)
    return diagonal_mm if one_is_empty and rule.distance == "diagonal" else math.nan
