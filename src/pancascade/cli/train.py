"""``pancascade train``: train weights by a recipe."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pancascade.training.run import RunProgress


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped one, e.g. qiu2024_demo.")],
    out: Annotated[Path, typer.Option(help="Folder of the run: checkpoints, log, pictures.")],
    data: Annotated[Path | None, typer.Option(help="Folder that holds the recipe's data sets.")] = None,
    source: Annotated[
        Path | None, typer.Option(help="One data set to train on instead of the recipe's: folder, store or CSV.")
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option(help="Split file of --source; drawn if not given. All corrections train, unless it is: seeded."),
    ] = None,
    fold: Annotated[int | None, typer.Option(help="For a --split with folds: the fold to test on.", min=0)] = None,
    keep: Annotated[
        str | None, typer.Option(help="Slices of --source: all, pancreas, tumour, no_pancreas or no_tumour.")
    ] = None,
    scans: Annotated[
        Path | None,
        typer.Option(help="Scans of a --source of corrections, if they are not beside them: a folder, or a CSV file."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    start_from: Annotated[
        Path | None, typer.Option(help="Weights to train further: a checkpoint, or a model by name or file.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, one of several like cuda:1, or mps.")] = "cpu",
    devices: Annotated[
        int, typer.Option(min=1, help="Processes of each node that train together, each on its own device.")
    ] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Computers that train together.")] = 1,
) -> None:
    """Train a cascade by a recipe; a stopped run continues with --resume."""
    import rich.console

    from pancascade import api
    from pancascade.cli.progress import shown_progress
    from pancascade.training.process_environment import is_follower

    console = rich.console.Console(quiet=is_follower(nodes))
    reported = 0
    with shown_progress("read data", shown=not is_follower(nodes)) as bar:

        def show(run: "RunProgress", done: int, batches: int) -> None:
            nonlocal reported
            for epoch in run.history[reported:]:
                console.print(describe(epoch) + _time_left(run), highlight=False, soft_wrap=True)
            reported = len(run.history)
            phase = run.recipe.phase_of(run.epoch)
            bar(done, batches, what=f"epoch {run.epoch + 1}/{run.recipe.epochs} ({phase})")

        run = api.train(
            recipe,
            data,
            out=out,
            source=source,
            split=split,
            fold=fold,
            keep=keep,
            scans=scans,
            resume=resume,
            start_from=start_from,
            device=device,
            devices=devices,
            nodes=nodes,
            progress=show,
        )
        for epoch in run.history[reported:]:
            console.print(describe(epoch), highlight=False, soft_wrap=True)
    if run.best.is_file():
        console.print(f"Best weights: {run.best}", soft_wrap=True, highlight=False)


def _time_left(run: "RunProgress") -> str:
    """Estimate the time left, by the last epoch; empty after the last epoch."""
    from pancascade.messages.durations import spell_duration

    left, last = run.recipe.epochs - len(run.history), run.history[-1]
    return f"; about {spell_duration(left * float(last['seconds']))} left" if left > 0 else ""


def describe(epoch: Mapping[str, Any]) -> str:
    """Return one line about an epoch of a run's history."""
    losses = " ".join(f"{name} {value:.3f}" for name, value in epoch["losses"].items())
    dice = " ".join(f"{name} {value:.3f}" for name, value in epoch["dice"].items())
    return f"epoch {epoch['epoch']} ({epoch['phase']}), {epoch['seconds']} s: loss {losses}" + (
        f"; validation Dice {dice}" if dice else ""
    )
