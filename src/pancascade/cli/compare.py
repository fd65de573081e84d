"""``pancascade compare``: compare the masks of several methods with one set of references."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pancascade.cli import evaluation_options as options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from pancascade.evaluation import Comparison, Evaluation, Summary


def compare(
    reference: Annotated[Path, typer.Argument(help="Folder of reference label maps.")],
    methods: Annotated[
        list[str], typer.Argument(help="Folders of predictions, two or more; NAME=FOLDER sets the name of a method.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for report.html, tables.md, tables.tex and all numbers.")],
    shared: options.EvaluationOptions,
    figure: Annotated[
        Path | None,
        typer.Option(
            help="Also write a figure as in papers, methods side by side on the same slices: .png, .pdf or .svg."
        ),
    ] = None,
) -> None:
    """Compare methods over the same cases: significance, ranks, figures, worst cases; one report.html."""
    choices = shared.choices()
    from pancascade.cli.progress import shown_progress
    from pancascade.evaluation import Method
    from pancascade.evaluation.method_names import name_methods
    from pancascade.report.comparison.evaluate_methods import evaluate_methods

    folders = name_methods(methods)
    entries = [Method(name, folder) for name, folder in folders.items()]
    console = options.wide_console()
    with shown_progress("compare") as show:
        found = evaluate_methods(entries, reference, out=out, figure=figure, progress=show, **choices)
    if found.comparison is not None:
        _print(found.evaluations, found.summaries, found.comparison, console)
    console.print(f"Report: {out / 'report.html'}", soft_wrap=True, highlight=False)
    if figure is not None:
        console.print(f"Figure: {figure}", soft_wrap=True, highlight=False)
    options.print_failures(found.evaluations, console)


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
