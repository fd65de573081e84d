"""``pancascade compare``: several methods' masks and one set of references in; tests, ranks and a report out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pancascade.cli import evaluation_options as options
from pancascade.cli.held_folder import held
from pancascade.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from pancascade.evaluation import Comparison, Evaluation, Summary


def compare(
    reference: Annotated[Path, typer.Argument(help="Folder of reference label maps.")],
    methods: Annotated[
        list[str], typer.Argument(help="Folders of predictions, two or more; NAME=FOLDER gives one another name.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for report.html, tables.md, tables.tex and all numbers.")],
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
    patients: options.Patients = None,
    split: options.SplitFile = None,
    fold: options.Fold = None,
    part: options.PartName = "test",
    allow_training_cases: options.AllowTrainingCases = False,
    scans: Annotated[Path | None, typer.Option(help="Folder of the CT scans, for the report's pictures.")] = None,
    figure: Annotated[
        Path | None,
        typer.Option(help="Also a figure as in papers, methods side by side on the same slices: .png, .pdf or .svg."),
    ] = None,
    workers: options.Workers = 0,
) -> None:
    """Compare methods over the same cases: significance, ranks, figures, worst cases; one report.html."""
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
    )
    folders = name_methods(methods)
    if figure is not None:
        from pancascade.report.method_figure import require_suffix

        require_suffix(figure)
    pictures = options.find_scans(scans)
    held_out = options.choose_part(split, fold=fold, part=part)
    from pancascade.evaluation import Method

    entries = [Method(name, folder, records=out / "cases" / name) for name, folder in folders.items()]
    console = options.wide_console()
    with held(out, what="compare"):
        evaluations = options.run(
            entries,
            reference,
            protocol=chosen,
            patients=patients,
            workers=workers,
            part=held_out,
            allow_training_cases=allow_training_cases,
        )
        _tell(evaluations, out, scans=pictures, figure=figure, console=console)
    options.tell_failures(evaluations, console)


def _tell(
    evaluations: "Sequence[Evaluation]",
    out: Path,
    *,
    scans: dict[str, Path],
    figure: Path | None,
    console: "Console",
) -> None:
    from pancascade.evaluation import compare, summarise, summarise_detection, targets_with_voxels

    protocol = evaluations[0].protocol
    targets = targets_with_voxels([case for evaluation in evaluations for case in evaluation.cases])
    summaries = [summarise(evaluation.cases, protocol, targets=targets) for evaluation in evaluations]
    detections = [summarise_detection(evaluation.cases, protocol) for evaluation in evaluations]
    comparison = compare(evaluations, targets=targets)
    _print(evaluations, summaries, comparison, console)
    options.write(evaluations, summaries, detections, out, comparison=comparison, scans=scans)
    console.print(f"Report: {out / 'report.html'}", soft_wrap=True, highlight=False)
    if figure is not None:
        from pancascade.report.method_figure import write_method_figure

        write_method_figure(figure, evaluations, comparison, target=targets[-1], scans=scans)
        console.print(f"Figure: {figure}", soft_wrap=True, highlight=False)


def name_methods(methods: "Sequence[str]") -> dict[str, Path]:
    """Folder of each method: named by ``NAME=FOLDER``, else by the folder, with its parent where names repeat.

    Raises:
        DataError: Fewer than two, or two of one name.
    """
    named: dict[str, Path] = {}
    plain = [Path(text).resolve() for text in methods if "=" not in text or Path(text).exists()]
    names = [folder.name for folder in plain]
    for text in methods:
        name, equals, path = text.partition("=")
        folder = Path(path)
        if not equals or Path(text).exists():
            folder = Path(text)
            whole = folder.resolve()
            name = whole.name if names.count(whole.name) == 1 else f"{whole.parent.name}-{whole.name}"
        if not name or name in named or "/" in name or name.startswith("."):
            raise DataError(f"{text}: give each method a name of its own, like NAME=FOLDER.")
        named[name] = folder
    if len(named) < 2:
        raise DataError("compare needs the folders of at least two methods; `pancascade evaluate` takes one.")
    return named


def _print(
    evaluations: "Sequence[Evaluation]", summaries: "Sequence[Summary]", comparison: "Comparison", console: "Console"
) -> None:
    from rich.table import Table

    from pancascade.evaluation import metrics_of
    from pancascade.evaluation.tables import SIGNIFICANT, spell_range, summary_table

    protocol = comparison.protocol
    for target in summaries[0]:
        text = summary_table(
            evaluations, summaries, target=target, aggregation=protocol.headline, metrics=protocol.metrics
        )
        first = next(entry for entry in comparison.metrics if entry.target == target)
        ranks = {rank.name: rank for rank in first.ranks}
        title = metrics_of(protocol)[first.metric].title
        table = Table(*text.header, f"rank by {title}", title=text.caption, title_justify="left")
        for row in sorted(text.rows, key=lambda row: ranks[row[0]].rank):
            rank = ranks[row[0]]
            table.add_row(*row, f"{rank.rank:g} [{spell_range(rank.rank_low, rank.rank_high)}]")
        console.print(table)
        significant = [pair for pair in first.pairs if pair.holm_p < SIGNIFICANT]
        console.print(
            f"{len(significant)} of {len(first.pairs)} differences in {title} are significant "
            "(Wilcoxon signed-rank, Holm, 0.05).",
            highlight=False,
        )
    console.print(protocol.sentence(), style="dim", highlight=False)
