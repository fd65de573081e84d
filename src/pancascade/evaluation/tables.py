"""Tables in the layout of the papers, as Markdown and LaTeX."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pancascade.evaluation.comparison import Comparison, MetricComparison
from pancascade.evaluation.evaluate import Evaluation
from pancascade.evaluation.protocol import AGGREGATIONS, PROTOCOLS, Aggregation
from pancascade.evaluation.quantities import Metric
from pancascade.evaluation.statistic import Statistic
from pancascade.evaluation.summary import Summary, summarise
from pancascade.evaluation.text_table import TextTable
from pancascade.evaluation.values import metrics_of
from pancascade.files.atomic import written_whole
from pancascade.metrics import Interval

SIGNIFICANT = 0.05
"""Limit below which an adjusted p-value is significant."""


@dataclass(frozen=True)
class _Column:
    heading: str
    metric: str
    field: Literal["mean", "mean±sd", "maximum", "minimum"] = "mean"


@dataclass(frozen=True)
class _Layout:
    """Layout of a paper's table: columns, and fractions with four digits or percentages with two."""

    protocol: str
    caption: str
    columns: tuple[_Column, ...]
    percent: bool


LAYOUTS = (
    _Layout(
        "qiu2024",
        "As Qiu et al. 2024, Tables 1 and 2",
        (_Column("Dice", "dice"), _Column("SEN", "sensitivity"), _Column("SPE", "specificity")),
        percent=False,
    ),
    _Layout(
        "lsnet",
        "As L-SNet, Table 1",
        (_Column("DSC (%)", "dice"), _Column("P (%)", "precision"), _Column("R (%)", "sensitivity")),
        percent=True,
    ),
    _Layout(
        "dsms_unet",
        "As DSMS U-Net, Table 1 (turned, a method a row)",
        (_Column("Dice", "dice"), _Column("PPV", "precision"), _Column("Sensitivity", "sensitivity")),
        percent=False,
    ),
    _Layout(
        "zhao2019",
        "As Zhao et al. 2019, Table 3",
        (
            _Column("Mean DSC", "dice", "mean±sd"),
            _Column("Max DSC", "dice", "maximum"),
            _Column("Min DSC", "dice", "minimum"),
        ),
        percent=True,
    ),
)


def paper_tables(evaluations: Sequence[Evaluation], *, target: str) -> list[TextTable]:
    """Return the methods in the layout of each paper's table, under that paper's rules.

    Args:
        evaluations: Evaluations of the methods, with at least one case each.
        target: Target of the tables.
    """
    return [_paper_table(layout, evaluations, target) for layout in LAYOUTS]


def _paper_table(layout: _Layout, evaluations: Sequence[Evaluation], target: str) -> TextTable:
    paper = PROTOCOLS[layout.protocol]
    own = evaluations[0].protocol
    rules = own.model_copy(update={"empty": paper.empty, "resamples": 100})
    statistics = [
        summarise(evaluation.cases, rules, targets=[target])[target][paper.headline] for evaluation in evaluations
    ]
    rows = [
        (evaluation.method, *(_cell(statistic[column.metric], column, layout.percent) for column in layout.columns))
        for evaluation, statistic in zip(evaluations, statistics, strict=True)
    ]
    best = set()
    for place, column in enumerate(layout.columns, start=1):
        values = [_value(statistic[column.metric], column) for statistic in statistics]
        best |= {(row, place) for row, value in enumerate(values) if value == max(values) > -math.inf}
    caption = f"{layout.caption}: {target}, {AGGREGATIONS[paper.headline]}"
    return TextTable(caption, ("Method", *(column.heading for column in layout.columns)), tuple(rows), frozenset(best))


def _value(statistic: Statistic, column: _Column) -> float:
    value = statistic.mean if column.field in ("mean", "mean±sd") else getattr(statistic, column.field)
    return -math.inf if value is None or math.isnan(value) else float(value)


def _cell(statistic: Statistic, column: _Column, percent: bool) -> str:
    value = _value(statistic, column)
    if math.isinf(value):
        return "–"
    text = f"{100 * value:.2f}" if percent else f"{value:.4f}"
    if column.field == "mean±sd" and statistic.sd is not None:
        text += f" ± {100 * statistic.sd:.2f}"
    return text


def summary_table(
    evaluations: Sequence[Evaluation],
    summaries: Sequence[Summary],
    *,
    target: str,
    aggregation: Aggregation,
    metrics: Sequence[str],
) -> TextTable:
    """Return the methods under one aggregation, each number with its 95 % interval.

    Args:
        evaluations: Evaluations of the methods.
        summaries: Summary of each method.
        target: Target of the table.
        aggregation: Aggregation of the table.
        metrics: Keys of the columns; those that the aggregation does not have are left out.
    """
    protocol = evaluations[0].protocol
    known = metrics_of(protocol)
    found = [summary[target][aggregation] for summary in summaries]
    columns = [known[key] for key in metrics if any(key in statistics for statistics in found)]
    rows = [
        (evaluation.method, *(interval_cell(metric, statistics.get(metric.key)) for metric in columns))
        for evaluation, statistics in zip(evaluations, found, strict=True)
    ]
    best = set()
    for place, metric in enumerate(columns, start=1):
        means = [s[metric.key].mean if metric.key in s else math.nan for s in found]
        finite = [mean for mean in means if not math.isnan(mean)]
        if finite and metric.best != "zero":
            wanted = max(finite) if metric.best == "high" else min(finite)
            best |= {(row, place) for row, mean in enumerate(means) if mean == wanted}
    caption = f"{target}, {AGGREGATIONS[aggregation]}, 95 % interval over patients"
    return TextTable(caption, ("Method", *(metric.title for metric in columns)), tuple(rows), frozenset(best))


def significance_table(entry: MetricComparison, metric: Metric) -> TextTable:
    """Return mean differences of methods (row − column) with p-values, the better ranked first.

    Args:
        entry: Comparison of two or more methods.
        metric: The compared metric.

    Returns:
        The table; differences with p < 0.05 after Holm's adjustment are bold.
    """
    names = [rank.name for rank in entry.ranks] or list(entry.values)
    both = [pair for found in entry.pairs for pair in (found, found.swapped())]
    pairs = {(pair.first, pair.second): pair for pair in both}
    digits = 2 if metric.key.endswith(("_mm", "_ml")) else 4
    rows, sure = [], set()
    for place, name in enumerate(names):
        cells = [name]
        for column, other in enumerate(names, start=1):
            pair = pairs.get((name, other))
            if pair is None or math.isnan(pair.mean_difference.mean):
                cells.append("–")
                continue
            cells.append(f"{pair.mean_difference.mean:+.{digits}f} (p {p_value(pair.holm_p)})")
            if pair.holm_p < SIGNIFICANT:
                sure.add((place, column))
        rows.append(tuple(cells))
    caption = (
        f"{entry.target}, {metric.title}: mean difference of row − column, Wilcoxon signed-rank test over patients, "
        f"p by Holm over {len(entry.pairs)} pairs"
    )
    return TextTable(caption, ("Method", *names), tuple(rows), frozenset(sure))


def p_value(p: float) -> str:
    """Return a p-value as text, as in papers."""
    return "–" if math.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def interval_cell(metric: Metric, statistic: Statistic | None) -> str:
    """Return a mean with its interval as text: ratios with four digits, mm and mL with two."""
    if statistic is None or math.isnan(statistic.mean):
        return "–"
    return spell_interval(statistic, digits=2 if metric.key.endswith(("_mm", "_ml")) else 4)


def spell_interval(found: Statistic | Interval, *, digits: int) -> str:
    """Return a number with its interval: "0.83 [0.80, 0.86]", for one patient "0.83 [–]", a dash for NaN."""
    if math.isnan(found.mean):
        return "–"
    if math.isnan(found.low):
        return f"{found.mean:.{digits}f} [–]"
    return f"{found.mean:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def spell_range(low: float, high: float) -> str:
    """Return the ends of a range of ranks as text, or a dash for NaN."""
    return "–" if math.isnan(low) else f"{low:g}, {high:g}"


def users_of(aggregation: Aggregation) -> str:
    """Return the names of protocols whose headline is this aggregation, for the heading of a table."""
    names = [protocol.name for protocol in PROTOCOLS.values() if protocol.source and protocol.headline == aggregation]
    return ", ".join(names)


def write_paper_tables(
    evaluations: Sequence[Evaluation], summaries: Sequence[Summary], out: Path, *, comparison: Comparison | None = None
) -> None:
    """Write tables.md and tables.tex: the four aggregations, each paper's own table, the significance matrices.

    Args:
        evaluations: Evaluations of the methods, with at least one case each.
        summaries: Summary of each method.
        out: Folder to write to.
        comparison: Tests; None for a single method.

    Raises:
        OutputError: The folder cannot be written.
    """
    protocol = evaluations[0].protocol
    tables = []
    for target in summaries[0]:
        tables += [
            summary_table(
                evaluations, summaries, target=target, aggregation=aggregation, metrics=list(metrics_of(protocol))
            )
            for aggregation in AGGREGATIONS
        ]
        tables += paper_tables(evaluations, target=target)
    if comparison is not None:
        known = metrics_of(protocol)
        tables += [significance_table(entry, known[entry.metric]) for entry in comparison.metrics if entry.pairs]
    with written_whole(out / "tables.md") as temporary:
        text = "\n".join(table.markdown() for table in tables)
        temporary.write_text(f"{protocol.sentence()}\n\n{text}", encoding="utf-8")
    with written_whole(out / "tables.tex") as temporary:
        text = "\n".join(table.latex() for table in tables)
        temporary.write_text(f"% {protocol.sentence()}\n% needs the package booktabs\n\n{text}", encoding="utf-8")
