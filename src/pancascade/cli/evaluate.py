"""``pancascade evaluate``: compare predicted masks with their references; numbers with their protocol."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pancascade.cli import evaluation_options as options
from pancascade.cli import executor_options
from pancascade.messages.counts import counted

if TYPE_CHECKING:
    from rich.console import Console

    from pancascade.evaluation import DetectionSummary, Evaluation, Summary


def evaluate(
    predictions: Annotated[Path, typer.Argument(help="Folder of predicted label maps, or one file.")],
    reference: Annotated[Path, typer.Argument(help="Folder of reference label maps with the same names, or one file.")],
    shared: options.EvaluationOptions,
    out: Annotated[Path | None, typer.Option(help="Folder for tables, results.json and report.html.")] = None,
    confidence: Annotated[Path | None, typer.Option(help="Folder of confidence maps of the lesions.")] = None,
    candidates: Annotated[
        str | None,
        typer.Option(
            help="Lesion candidates from the predicted labels (default), or the confidence map.", show_default=False
        ),
    ] = None,
    scores: Annotated[Path | None, typer.Option(help="CSV with the columns case and score (of the patient).")] = None,
    engine: executor_options.Where = executor_options.ExecutorKind.PROCESSES,
    address: executor_options.Address = None,
) -> None:
    """Compare predicted masks with their references: Dice, distances, detection, under all protocols at once."""
    choices = shared.choices(candidates=candidates)
    cluster = executor_options.choose_cluster(engine, workers=shared.workers, address=address)
    from pancascade.cli.progress import shown_progress
    from pancascade.evaluation import Method, method_name
    from pancascade.evaluation.side_tables import read_scores
    from pancascade.report.comparison.evaluate_methods import evaluate_methods

    reported = {} if scores is None else read_scores(scores)
    method = Method(method_name(predictions), predictions, confidence=confidence, scores=reported)
    console = options.wide_console()
    with shown_progress("compare") as show:
        found = evaluate_methods([method], reference, out=out, executor=cluster, progress=show, **choices)
    _print(found.evaluations[0], found.summaries[0], found.detections[0], console)
    if out is not None:
        console.print(f"Tables, results.json, report.html: {out}", soft_wrap=True, highlight=False)
    options.print_failures(found.evaluations, console)


def _print(
    evaluation: "Evaluation", summary: "Summary", detection: "DetectionSummary | None", console: "Console"
) -> None:
    from rich.table import Table

    from pancascade.evaluation import AGGREGATIONS, count_cases, metrics_of
    from pancascade.evaluation.lesion_detection import NUMBERS
    from pancascade.evaluation.tables import interval_cell, users_of

    for target, aggregations in summary.items():
        counts = count_cases(evaluation.cases, target)
        title = (
            f"{evaluation.method}: {target}, {counted(counts.cases, 'scan')} of {counted(counts.patients, 'patient')} "
            f"({counts.without_reference} without {target}, {counts.missed} missed, {counts.false_alarms} false alarms)"
        )
        table = Table("mean [95 % interval]", title=title, title_justify="left")
        for aggregation in aggregations:
            users = users_of(aggregation)
            table.add_column(AGGREGATIONS[aggregation] + (f" ({users})" if users else ""))
        for metric in metrics_of(evaluation.protocol).values():
            cells = [interval_cell(metric, statistics.get(metric.key)) for statistics in aggregations.values()]
            table.add_row(metric.title, *cells)
        console.print(table)
    if detection is not None:
        table = Table("lesions", f"{detection.lesions} in {detection.scans} scans", title_justify="left")
        for key, (title, _) in NUMBERS.items():
            table.add_row(title, options.spell(detection.numbers[key]))
        for size in detection.by_size:
            table.add_row(
                f"sensitivity, {size.size}", f"{options.spell(size.sensitivity)} ({size.found} of {size.lesions})"
            )
        console.print(table)
    console.print(evaluation.protocol.sentence(), style="dim", highlight=False)
