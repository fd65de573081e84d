"""``pancascade reproduce``: make a paper's table from a data set, beside the published numbers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pancascade.cli import data_options as options
from pancascade.cli.exit_codes import INCOMPLETE
from pancascade.cli.held_folder import held
from pancascade.cli.reading_options import find_reading
from pancascade.cli.reproduce_options import choose
from pancascade.errors import DataError

if TYPE_CHECKING:
    from rich.console import Console

    from pancascade.cli.progress import Show
    from pancascade.reproduction import Prepared, Request, Resources
    from pancascade.reproduction.table_text import ReproducedTable
    from pancascade.training.run import RunProgress


def reproduce(
    paper: Annotated[
        str | None, typer.Argument(help="qiu2024, lsnet, dsms_unet, zhao2019, or a YAML file of tables.")
    ] = None,
    table: Annotated[str | None, typer.Argument(help="Number of the table, such as 3 or fig10; see --list.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the data set, a store, or a CSV of scans.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for table.md, .tex, .html, .json and the trainings.")] = None,
    scale: Annotated[
        str, typer.Option(help="paper: the paper's networks and epochs; small: ours, for ordinary computers.")
    ] = "paper",
    rows: Annotated[
        list[str] | None,
        typer.Option(help="Name of a row to make; may be repeated. Default: all rows that can be made."),
    ] = None,
    folds: Annotated[
        list[str] | None, typer.Option(help="Number of a fold to run, from 0; may be repeated. Default: all.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of each training, instead of the recipe's.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Seed of split, weights, order and augmentation.", min=0)] = 0,
    split: Annotated[Path | None, typer.Option(help="Split file of your own, instead of the paper's design.")] = None,
    masks: Annotated[
        list[str] | None, typer.Option(help="ROW=FOLDER: masks by other software; may be repeated.")
    ] = None,
    trainings: Annotated[
        Path | None, typer.Option(help="Folder of trainings that several tables share. Default: OUT/trainings.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the table in --out.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Only print the plan, and how long it takes.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List papers, tables and rows.")] = False,
    layout: options.LayoutName = None,
    picture_window: options.PictureWindow = None,
    flip_rows: options.FlipRows = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, one of several like cuda:1, or mps.")] = "cpu",
    workers: options.Workers = 0,
) -> None:
    """Make a paper's table: train what is missing, predict as in the paper, evaluate by its protocol.

    Later, --resume with other --rows adds to the table.
    """
    from pancascade.cli.evaluation_options import wide_console

    console = wide_console()
    if list_:
        _list(paper, console)
        return
    if paper is None or table is None:
        raise DataError("Give a paper and the number of a table, such as `qiu2024 3`; --list shows them all.")
    if data is None or out is None:
        raise DataError("Give --data, the folder of the data set, and --out, the folder for the table.")
    from pancascade.execution.parallel import available_cores
    from pancascade.reproduction import DataPlace, Request, find_table, read_published

    found = find_table(read_published(paper), table)
    reading = find_reading(data, layout=layout, picture_window=picture_window, flip_rows=flip_rows)
    request = Request(
        paper,
        table,
        DataPlace(data, reading),
        out,
        choose(found, scale=scale, seed=seed, epochs=epochs, rows=rows, folds=folds, masks=masks),
        split=split,
        trainings=trainings,
        resume=resume,
        device=device,
        workers=workers or available_cores(),
    )
    with held(out, what="reproduce"):
        failures = _run(request, console, only_plan=plan)
    if failures:
        raise typer.Exit(INCOMPLETE)


def _run(request: "Request", console: "Console", *, only_plan: bool) -> list[str]:
    """Plan, time and make the table; return why rows could not be made."""
    from pancascade.cli.progress import shown_progress
    from pancascade.reproduction import prepare, time_plan
    from pancascade.reproduction import reproduce as make

    with shown_progress("counting slices") as show:
        prepared = prepare(request, counted=show)
        _print_plan(prepared, console)
        estimate = time_plan(prepared, reported=lambda what: show(0, what=what))
        for sentence in estimate.sentences() if prepared.left() else ("Nothing is left to train.",):
            console.print(sentence, highlight=False, soft_wrap=True)
        if only_plan:
            return []
        made, failures = make(prepared, _resources(prepared, show, console))
    _print_table(made, console)
    console.print(f"Table: {request.out / 'table.html'}", soft_wrap=True, highlight=False)
    for failure in failures:
        console.print(failure, style="yellow", soft_wrap=True, highlight=False)
    return failures


def _resources(prepared: "Prepared", show: "Show", console: "Console") -> "Resources":
    from pancascade.reproduction import Resources

    current = ""

    def reported(what: str) -> None:
        nonlocal current
        current = what
        console.print(what[0].upper() + what[1:], highlight=False, soft_wrap=True)
        show(0, what=what)

    def trained(run: "RunProgress", done: int, batches: int) -> None:
        title = f"{current}: epoch {run.epoch + 1}/{run.recipe.epochs} ({run.recipe.phase_of(run.epoch)})"
        show(done, batches, what=title)

    return Resources(
        prepared.trainings,
        device=prepared.request.device,
        workers=prepared.request.workers,
        reported=reported,
        trained=trained,
        predicted=show,
    )


def _print_plan(prepared: "Prepared", console: "Console") -> None:
    from rich.table import Table

    from pancascade.reproduction.counted_cases import found_beside_published

    plan = prepared.plan
    said = plan.table.scales[plan.choices.scale]
    console.print(
        f"{prepared.paper.citation}, {plan.table.place}: {plan.table.caption}", highlight=False, soft_wrap=True
    )
    console.print(f"Scale {plan.choices.scale}: {said.says}.", highlight=False, soft_wrap=True)
    counts = Table("", "found", f"published ({plan.table.data.name})")
    parts = [(fold.train, fold.test) for fold in plan.folds]
    for row in found_beside_published(plan.table.data, parts, everything=plan.everything):
        counts.add_row(row["what"], row["found"], row["published"])
    console.print(counts)
    for note in prepared.notes:
        console.print(note, highlight=False, soft_wrap=True)
    left = len(prepared.left())
    rows = ", ".join((*plan.rows, *plan.masks)) or "none"
    console.print(
        f"Rows: {rows}. Trainings: {len(plan.trainings)}, of which {left} are left.", highlight=False, soft_wrap=True
    )


def _print_table(made: "ReproducedTable", console: "Console") -> None:
    from rich.table import Table

    from pancascade.reproduction.table_text import spell_test, text_table

    text = text_table(made)
    shown = Table(*text.header, title=text.caption, title_justify="left")
    for place, row in enumerate(text.rows):
        shown.add_row(*row, style="dim" if place in text.grey else "")
    console.print(shown)
    for test in made.tests:
        console.print(spell_test(test), highlight=False, soft_wrap=True)


def _list(name: str | None, console: "Console") -> None:
    from rich.table import Table

    from pancascade.reproduction import published_papers, read_published

    for known in [name] if name is not None else published_papers():
        paper = read_published(known)
        shown = Table(
            "table", "where", "what", "data", "rows", title=f"{paper.paper}: {paper.title}", title_justify="left"
        )
        for number, table in paper.tables.items():
            made = [row.name for row in table.rows if row.make is not None]
            quoted = [row.name for row in table.rows if row.make is None]
            rows = "; ".join(made) + (f". Quoted: {'; '.join(quoted)}" if quoted else "")
            shown.add_row(number, table.place, table.caption, table.data.name, rows)
        console.print(shown)
