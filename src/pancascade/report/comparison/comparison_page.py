"""``report.html``: the evaluation of one method or the comparison of several, in one file that loads nothing."""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment

from pancascade.evaluation import (
    AGGREGATIONS,
    CaseRecord,
    Comparison,
    DetectionSummary,
    Evaluation,
    Metric,
    MetricComparison,
    Protocol,
    Statistic,
    Summary,
    case_values,
    count_cases,
    metrics_of,
)
from pancascade.evaluation.lesion_detection import NUMBERS
from pancascade.evaluation.tables import SIGNIFICANT, p_value, users_of
from pancascade.metrics import PairedComparison
from pancascade.report.comparison.gallery import draw_gallery
from pancascade.report.comparison.picture_choice import MOST_PICTURES, choose_pictures
from pancascade.report.figures import NAMED_CURVES, draw_agreement, draw_distributions, draw_froc, draw_ranks, embed
from pancascade.report.page_environment import page_environment, write_page

MOST_PANELS = 12


class ComparedCaseRow(NamedTuple):
    """One target of one case of one method: a row in the table of all cases."""

    method: str
    record: CaseRecord
    target: str
    values: dict[str, float]
    reference_ml: float
    prediction_ml: float


def write_comparison(
    path: Path,
    evaluations: Sequence[Evaluation],
    *,
    summaries: Sequence[Summary],
    detections: Sequence[DetectionSummary | None],
    comparison: Comparison | None,
    scans: Mapping[str, Path] | None = None,
) -> None:
    """Write the report of one or several methods as a single HTML file.

    Args:
        path: HTML file to write.
        evaluations: Evaluations under one protocol, one for each method, with at least one case each.
        summaries: Summary of each method.
        detections: Lesion detection of each method; None where there are no lesions.
        comparison: Tests and ranks; None for a single method.
        scans: CT scan by case, for the pictures of the worst cases; other cases are drawn on grey.

    Raises:
        OutputError: The path cannot be written.
    """
    context = _context(evaluations, summaries, detections, comparison, scans or {})
    write_page(path, "comparison.html", context, environment=_environment())


def _context(
    evaluations: Sequence[Evaluation],
    summaries: Sequence[Summary],
    detections: Sequence[DetectionSummary | None],
    comparison: Comparison | None,
    scans: Mapping[str, Path],
) -> dict[str, Any]:
    """Return all values that the template needs, by name."""
    protocol = evaluations[0].protocol
    targets = list(dict.fromkeys(target for summary in summaries for target in summary))
    shown = _complete(evaluations, comparison, targets)
    rows = [row for evaluation in evaluations for row in _case_rows(evaluation, targets)]
    found = {e.method: d for e, d in zip(evaluations, detections, strict=True) if d is not None}
    return {
        "evaluations": evaluations,
        "protocol": protocol,
        "metrics": metrics_of(protocol),
        "targets": targets,
        "summaries": summaries,
        "shown": shown,
        "detections": found,
        "rows": rows,
        "distributions": [_distribution(entry, protocol) for entry in shown.metrics],
        "ranks": {target: _ranks(shown, target) for target in targets},
        "agreement": {target: _agreement(rows, shown, target) for target in targets},
        "froc": _froc(found),
        "pictures": draw_gallery(choose_pictures(evaluations, shown, targets), protocol, scans),
        "now": datetime.now().astimezone(),
        "version": version("pancascade"),
    }


def number(value: float | None, key: str = "", *, signed: bool = False, digits: int = 4) -> str:
    """Return a metric's value as text: mm and mL with two decimals, ratios with four; a dash for None and NaN."""
    if value is None or not math.isfinite(value):
        return "–"
    digits = 2 if key.endswith(("_mm", "_ml")) else digits
    text = f"{value:{'+' if signed else ''}.{digits}f}"
    return text.lstrip("+-") if not float(text) else text.replace("-", "−")


def best_rows(values: Sequence[float], metric: Metric) -> set[int]:
    """Return the indices of the methods with the best value; none for a single method or a signed error."""
    known = [value for value in values if math.isfinite(value)]
    if len(values) < 2 or not known or metric.best == "zero":
        return set()
    best = max(known) if metric.best == "high" else min(known)
    return {row for row, value in enumerate(values) if value == best}


def statistic(summary: Summary, target: str, aggregation: str, key: str) -> Statistic | None:
    """Return one number of a summary, or None."""
    return summary.get(target, {}).get(aggregation, {}).get(key)  # type: ignore[call-overload]


def pair_table(entry: MetricComparison) -> dict[tuple[str, str], PairedComparison]:
    """Return every pair of methods in both directions, by (row, column)."""
    both = [pair for found in entry.pairs for pair in (found, found.swapped())]
    return {(pair.first, pair.second): pair for pair in both}


def tone(pair: PairedComparison, metric: Metric) -> str:
    """Return the CSS class of a cell: whether its row is better or worse than its column, and significantly so."""
    difference = pair.mean_difference.mean
    if math.isnan(difference) or difference == 0:
        return "even"
    better = (difference > 0) == (metric.best == "high")
    return ("better" if better else "worse") + (" sure" if pair.holm_p < SIGNIFICANT else "")


@cache
def _environment() -> Environment:
    environment = page_environment()
    environment.filters |= {"number": number, "p": p_value}
    environment.globals |= {
        "AGGREGATIONS": AGGREGATIONS,
        "DETECTION_NUMBERS": {key: title for key, (title, _) in NUMBERS.items()},
        "MOST_PANELS": MOST_PANELS,
        "MOST_PICTURES": MOST_PICTURES,
        "Metric": Metric,
        "NAMED_CURVES": NAMED_CURVES,
        "best_rows": best_rows,
        "count_cases": count_cases,
        "nan": math.nan,
        "pair_table": pair_table,
        "statistic": statistic,
        "tone": tone,
        "users_of": users_of,
    }
    return environment


def _complete(evaluations: Sequence[Evaluation], comparison: Comparison | None, targets: Sequence[str]) -> Comparison:
    """Return the comparison with an entry for each metric of the protocol; metrics without tests have only values."""
    protocol = evaluations[0].protocol
    done = {} if comparison is None else {(entry.target, entry.metric): entry for entry in comparison.metrics}
    records = [{case.case: case for case in evaluation.cases} for evaluation in evaluations]
    patients = {name: case.patient for found in records for name, case in found.items()}
    names = sorted(patients)
    entries = []
    for target in targets:
        for metric in sorted(protocol.metrics, key=lambda key: (target, key) not in done):
            values = {
                evaluation.method: [
                    case_values(found[name], target, protocol)[metric] if name in found else math.nan for name in names
                ]
                for evaluation, found in zip(evaluations, records, strict=True)
                if (target, metric) not in done
            }
            entries.append(done.get((target, metric)) or MetricComparison(target, metric, values, (), ()))
    return Comparison(protocol, tuple(names), tuple(patients[name] for name in names), tuple(entries))


def _case_rows(evaluation: Evaluation, targets: Sequence[str]) -> Iterator[ComparedCaseRow]:
    for case in evaluation.cases:
        for target in targets:
            counts = case.targets[target].total
            sizes_ml = counts.reference_size * case.voxel_ml, counts.prediction_size * case.voxel_ml
            yield ComparedCaseRow(
                evaluation.method, case, target, case_values(case, target, evaluation.protocol), *sizes_ml
            )


def _distribution(entry: MetricComparison, protocol: Protocol) -> str:
    """Draw box, violin and points of one metric, with the best method on top."""
    order = [rank.name for rank in entry.ranks] or list(entry.values)
    title = f"{entry.target}: {metrics_of(protocol)[entry.metric].title}"
    return embed(draw_distributions({name: entry.values[name] for name in order}, title=title))


def _ranks(shown: Comparison, target: str) -> str | None:
    known = metrics_of(shown.protocol)
    panels = {known[entry.metric].title: entry.ranks for entry in shown.metrics if entry.target == target}
    ranked = {title: ranks for title, ranks in panels.items() if ranks}
    return embed(draw_ranks(ranked)) if ranked else None


def _agreement(rows: Sequence[ComparedCaseRow], shown: Comparison, target: str) -> str | None:
    """Draw Bland–Altman panels of all methods, or of the best and the worst by the protocol's first metric."""
    first = next(entry for entry in shown.metrics if entry.target == target)
    order = [rank.name for rank in first.ranks] or list(first.values)
    if len(order) > MOST_PANELS:
        order = [*order[: MOST_PANELS // 2], *order[-MOST_PANELS // 2 :]]
    volumes: dict[str, list[tuple[float, float]]] = {name: [] for name in order}
    for row in rows:
        # Two empty masks have no volume to compare, and single slices have no mL.
        if row.method in volumes and row.target == target and row.reference_ml + row.prediction_ml > 0:
            volumes[row.method].append((row.reference_ml, row.prediction_ml))
    drawn = {name: pairs for name, pairs in volumes.items() if pairs}
    return embed(draw_agreement(drawn)) if drawn else None


def _froc(detections: Mapping[str, DetectionSummary]) -> str | None:
    """Draw FROC curves, the highest average precision first."""
    curves = {
        name: [(rate, found) for _, rate, found in detection.froc]
        for name, detection in sorted(detections.items(), key=lambda item: -item[1].numbers["average_precision"].mean)
        if detection.lesions
    }
    return embed(draw_froc(curves)) if curves else None
