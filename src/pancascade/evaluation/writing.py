"""Results as files: CSV for spreadsheets, JSON for programs, each with the protocol."""

import csv
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pancascade.evaluation.comparison import Comparison
from pancascade.evaluation.evaluate import Evaluation
from pancascade.evaluation.lesion_detection import DetectionSummary
from pancascade.evaluation.protocol import AGGREGATIONS, Protocol
from pancascade.evaluation.summary import Summary, count_cases
from pancascade.evaluation.values import case_values, overlap_values
from pancascade.files.atomic import written_together

Row = dict[str, Any]

FILES = (
    "cases.csv",
    "slices.csv",
    "lesions.csv",
    "summary.csv",
    "pairs.csv",
    "ranks.csv",
    "failures.csv",
    "results.json",
)
"""All files of an evaluation."""


def write_results(
    evaluations: Sequence[Evaluation],
    out: Path,
    *,
    summaries: Sequence[Summary],
    detections: Sequence[DetectionSummary | None],
    comparison: Comparison | None = None,
) -> None:
    """Write all results of one or several methods; a failure leaves no partial results.

    Args:
        evaluations: Evaluations of the methods, under one protocol.
        out: Folder; created if missing.
        summaries: Summary of each method.
        detections: Detection summary of each method; None without lesions.
        comparison: Tests and ranks; None for a single method.

    Raises:
        OutputError: The folder cannot be written.
    """
    protocol = evaluations[0].protocol
    targets = list(dict.fromkeys(target for summary in summaries for target in summary))
    tables = {
        "cases.csv": _case_rows(evaluations, targets),
        "slices.csv": _slice_rows(evaluations, targets),
        "lesions.csv": _lesion_rows(evaluations) if any(detections) else iter(()),
        "summary.csv": _summary_rows(evaluations, summaries),
        "failures.csv": _failure_rows(evaluations),
        "pairs.csv": _pair_rows(comparison),
        "ranks.csv": _rank_rows(comparison),
    }
    with written_together(out, names=FILES) as draft:
        for name, rows in tables.items():
            _write_table(draft / name, rows, protocol)
        results = _results(evaluations, summaries, detections, targets)
        results["pairs"], results["ranks"] = plain(list(_pair_rows(comparison))), plain(list(_rank_rows(comparison)))
        (draft / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def plain(value: Any) -> Any:
    """Convert a value for JSON: NaN becomes null, a named tuple an object."""
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


def _case_rows(evaluations: Sequence[Evaluation], targets: Sequence[str]) -> Iterator[Row]:
    for evaluation in evaluations:
        for case in evaluation.cases:
            for target in targets:
                counts = case.targets[target].total
                yield {
                    "method": evaluation.method,
                    "case": case.case,
                    "patient": case.patient,
                    "target": target,
                    **case_values(case, target, evaluation.protocol),
                    "reference_ml": counts.reference_size * case.voxel_ml,
                    "prediction_ml": counts.prediction_size * case.voxel_ml,
                    **counts._asdict(),
                    "slices": len(case.targets[target].slices),
                    "spacing_mm": " ".join(f"{mm:.6g}" for mm in case.spacing_mm),
                    "notes": "; ".join(case.notes),
                    "prediction": Path(case.prediction).name if case.prediction else "",
                    "reference": Path(case.reference).name,
                }


def _slice_rows(evaluations: Sequence[Evaluation], targets: Sequence[str]) -> Iterator[Row]:
    for evaluation in evaluations:
        for case in evaluation.cases:
            for target in targets:
                slices = case.targets[target].slices
                values = overlap_values(slices, evaluation.protocol.empty)
                for place, counts in enumerate(slices):
                    if not counts.reference_size and not counts.prediction_size:
                        continue
                    yield {
                        "method": evaluation.method,
                        "case": case.case,
                        "patient": case.patient,
                        "target": target,
                        "slice_from_feet": place,
                        **counts._asdict(),
                        **{metric: float(column[place]) for metric, column in values.items()},
                    }


def _lesion_rows(evaluations: Sequence[Evaluation]) -> Iterator[Row]:
    for evaluation in evaluations:
        for case in evaluation.cases:
            if case.detections is None:
                continue
            start = {"method": evaluation.method, "case": case.case, "patient": case.patient}
            for lesion in case.detections.lesions:
                yield {**start, "kind": "lesion", **asdict(lesion)}
            for confidence in case.detections.false_positives:
                yield {**start, "kind": "false positive", "confidence": confidence}


def _summary_rows(evaluations: Sequence[Evaluation], summaries: Sequence[Summary]) -> Iterator[Row]:
    for evaluation, summary in zip(evaluations, summaries, strict=True):
        for target, aggregations in summary.items():
            for aggregation, metrics in aggregations.items():
                for metric, statistic in metrics.items():
                    yield {
                        "method": evaluation.method,
                        "target": target,
                        "aggregation": aggregation,
                        "metric": metric,
                        **asdict(statistic),
                    }


def _failure_rows(evaluations: Sequence[Evaluation]) -> Iterator[Row]:
    for evaluation in evaluations:
        for failure in evaluation.failures:
            yield {"method": evaluation.method, **failure._asdict()}


def _pair_rows(comparison: Comparison | None) -> Iterator[Row]:
    for entry in comparison.metrics if comparison is not None else ():
        for pair in entry.pairs:
            mean, low, high = pair.mean_difference
            numbers = {"mean_difference": mean, "low": low, "high": high}
            yield {"target": entry.target, "metric": entry.metric, **asdict(pair), **numbers}


def _rank_rows(comparison: Comparison | None) -> Iterator[Row]:
    for entry in comparison.metrics if comparison is not None else ():
        for rank in entry.ranks:
            yield {"target": entry.target, "metric": entry.metric, **asdict(rank)}


def _write_table(path: Path, rows: Iterable[Row], protocol: Protocol) -> None:
    """Write rows with the protocol as the last column; no file without rows."""
    table = [{key: "" if plain(value) is None else value for key, value in row.items()} for row in rows]
    if not table:
        return
    columns = list(dict.fromkeys(key for row in table for key in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*columns, "protocol"], restval="")
        writer.writeheader()
        sentence = protocol.sentence()
        writer.writerows({**row, "protocol": sentence} for row in table)


def _results(
    evaluations: Sequence[Evaluation],
    summaries: Sequence[Summary],
    detections: Sequence[DetectionSummary | None],
    targets: Sequence[str],
) -> dict[str, Any]:
    protocol = evaluations[0].protocol
    methods = {}
    for evaluation, summary, detection in zip(evaluations, summaries, detections, strict=True):
        methods[evaluation.method] = {
            "counts": {target: asdict(count_cases(evaluation.cases, target)) for target in summary},
            "summary": {
                target: {
                    name: {metric: asdict(statistic) for metric, statistic in metrics.items()}
                    for name, metrics in aggregations.items()
                }
                for target, aggregations in summary.items()
            },
            "detection": None if detection is None else asdict(detection),
            "cases": [
                {
                    "case": case.case,
                    "patient": case.patient,
                    "notes": case.notes,
                    **{target: case_values(case, target, protocol) for target in targets},
                }
                for case in evaluation.cases
            ],
            "failures": [failure._asdict() for failure in evaluation.failures],
            "left_out": dict(evaluation.left_out),
        }
    head = {"protocol": protocol.model_dump(mode="json"), "protocol_in_words": protocol.sentence()}
    return plain({**head, "aggregations": AGGREGATIONS, "methods": methods})
