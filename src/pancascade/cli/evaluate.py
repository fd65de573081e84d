"""``pancascade evaluate``: predicted masks and their references in, numbers with their protocol out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pancascade.cli import evaluation_options as options
from pancascade.cli import executor_options
from pancascade.cli.held_folder import held

if TYPE_CHECKING:
    from rich.console import Console

    from pancascade.evaluation import DetectionSummary, Evaluation, Summary


def evaluate(
    predictions: Annotated[Path, typer.Argument(help="Folder of predicted label maps, or one file.")],
    reference: Annotated[Path, typer.Argument(help="Folder of reference label maps with the same names, or one file.")],
    out: Annotated[Path | None, typer.Option(help="Folder for tables, results.json and report.html.")] = None,
    protocol: options.ProtocolName = "default",
    labels: options.Labels = None,
    reference_labels: options.ReferenceLabels = None,
    other_labels: options.OtherLabels = None,
    resample: options.Resample = False,
    missing: options.Missing = None,
    tolerance_mm: options.Tolerance = None,
    surface: options.Surface = None,
    hit: options.Hit = None,
    least_iou: options.LeastIou = None,
    confidence: Annotated[Path | None, typer.Option(help="Folder of maps of the lesions' likelihood.")] = None,
    candidates: Annotated[
        str | None,
        typer.Option(
            help="Lesion candidates from the predicted labels (default), or the confidence map.", show_default=False
        ),
    ] = None,
    scores: Annotated[Path | None, typer.Option(help="CSV with the columns case and score (of the patient).")] = None,
    patients: options.Patients = None,
    split: options.SplitFile = None,
    fold: options.Fold = None,
    part: options.PartName = "test",
    allow_training_cases: options.AllowTrainingCases = False,
    scans: Annotated[Path | None, typer.Option(help="Folder of the CT scans, for the report's pictures.")] = None,
    workers: options.Workers = 0,
    engine: executor_options.Where = executor_options.WorkEngine.PROCESSES,
    address: executor_options.Address = None,
) -> None:
    """Compare predicted masks with their references: Dice, distances, detection, under every protocol at once."""
    chosen = options.choose_protocol(
        protocol,
        labels=labels,
        reference_labels=reference_labels,
        other_labels=other_labels,
        resample=resample,
        missing=missing,
        tolerance_mm=tolerance_mm,
        surface=surface,
        hit=hit,
        least_iou=least_iou,
        candidates=candidates,
    )
    pictures = options.find_scans(scans)
    cluster = executor_options.choose_cluster(engine, workers=workers, address=address)
    held_out = options.choose_part(split, fold=fold, part=part)
    from pancascade.evaluation import Method, method_name
    from pancascade.evaluation.side_tables import read_scores

    method = Method(
        method_name(predictions),
        predictions,
        confidence=confidence,
        scores={} if scores is None else read_scores(scores),
        records=None if out is None else out / "cases",
    )
    console = options.wide_console()
    with held(out, what="evaluate"):
        evaluations = options.run(
            [method],
            reference,
            protocol=chosen,
            patients=patients,
            workers=workers,
            executor=cluster,
            part=held_out,
            allow_training_cases=allow_training_cases,
        )
        _tell(evaluations[0], out, scans=pictures, console=console)
    options.tell_failures(evaluations, console)


def _tell(evaluation: "Evaluation", out: Path | None, *, scans: dict[str, Path], console: "Console") -> None:
    from pancascade.evaluation import summarise, summarise_detection

    summary = summarise(evaluation.cases, evaluation.protocol)
    detection = summarise_detection(evaluation.cases, evaluation.protocol)
    _print(evaluation, summary, detection, console)
    if out is not None:
        options.write([evaluation], [summary], [detection], out, comparison=None, scans=scans)
        console.print(f"Tables, results.json, report.html: {out}", soft_wrap=True, highlight=False)


def _print(
    evaluation: "Evaluation", summary: "Summary", detection: "DetectionSummary | None", console: "Console"
) -> None:
    from rich.table import Table

    from pancascade.evaluation import AGGREGATIONS, count_cases, metrics_of
    from pancascade.evaluation.detection import NUMBERS
    from pancascade.evaluation.tables import interval_cell, users_of

    for target, aggregations in summary.items():
        counts = count_cases(evaluation.cases, target)
        title = (
            f"{evaluation.method}: {target}, {_count(counts.cases, 'scan')} of {_count(counts.patients, 'patient')} "
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


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
