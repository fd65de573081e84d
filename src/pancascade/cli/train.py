"""``pancascade train``: a recipe and data in, weights out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pancascade.training import Run


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped one, e.g. qiu2024_demo.")],
    data: Annotated[Path, typer.Option(help="Folder that holds the recipe's data sets.")],
    out: Annotated[Path, typer.Option(help="Folder of the run: checkpoints, log, pictures.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    start_from: Annotated[Path | None, typer.Option(help="Checkpoint whose weights are trained further.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Train a cascade by a recipe; stop and --resume at will."""
    import rich.console
    import rich.progress

    from pancascade.training import find_recipe, fit

    console = rich.console.Console()
    columns = (*rich.progress.Progress.get_default_columns(), rich.progress.TextColumn("{task.fields[note]}"))
    with rich.progress.Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("epoch", note="")
        told = 0

        def show(run: "Run", done: int, batches: int) -> None:
            nonlocal told
            for epoch in run.history[told:]:
                console.print(describe(epoch), highlight=False)
            told = len(run.history)
            phase = run.recipe.phase_of(run.epoch)
            title = f"epoch {run.epoch + 1}/{run.recipe.epochs} ({phase})"
            bars.update(task, completed=done, total=batches, description=title)

        run = fit(
            find_recipe(recipe), data, out=out, resume=resume, start_from=start_from, device=device, progress=show
        )
        for epoch in run.history[told:]:
            console.print(describe(epoch), highlight=False)
    console.print(f"Best weights: {out / 'best.safetensors'}", soft_wrap=True, highlight=False)


def describe(epoch: dict[str, object]) -> str:
    """One line about an epoch of a run's history."""
    losses = " ".join(f"{name} {value:.3f}" for name, value in epoch["losses"].items())  # type: ignore[attr-defined]
    dice = " ".join(f"{name} {value:.3f}" for name, value in epoch["dice"].items())  # type: ignore[attr-defined]
    return f"epoch {epoch['epoch']} ({epoch['phase']}), {epoch['seconds']} s: loss {losses}" + (
        f"; validation Dice {dice}" if dice else ""
    )
