"""``pancascade train``: a recipe and data in, weights out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pancascade.errors import RecipeError

if TYPE_CHECKING:
    from pancascade.training.run import Standing


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped one, e.g. qiu2024_demo.")],
    out: Annotated[Path, typer.Option(help="Folder of the run: checkpoints, log, pictures.")],
    data: Annotated[Path | None, typer.Option(help="Folder that holds the recipe's data sets.")] = None,
    source: Annotated[
        Path | None, typer.Option(help="One data set to train on instead of the recipe's: folder, store or CSV.")
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option(help="Split file of --source; drawn if not given. All corrections train, but with: seeded."),
    ] = None,
    fold: Annotated[int | None, typer.Option(help="Of a --split of folds, the one to test on.", min=0)] = None,
    keep: Annotated[
        str | None, typer.Option(help="Slices of --source: all, pancreas, tumour, no_pancreas or no_tumour.")
    ] = None,
    scans: Annotated[
        Path | None,
        typer.Option(help="Scans of a --source of corrections that are not beside them: their folder, or a CSV."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    start_from: Annotated[
        Path | None, typer.Option(help="Weights to train further: a checkpoint, or a model by name or file.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, one of several like cuda:1, or mps.")] = "cpu",
    devices: Annotated[
        int, typer.Option(min=1, help="Processes of each node that train together, each on its own device.")
    ] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Computers that train together.")] = 1,
) -> None:
    """Train a cascade by a recipe; stop and --resume at will."""
    from tempfile import TemporaryDirectory

    from pancascade.training import find_recipe, recipe_on

    path = find_recipe(recipe)
    choices: dict[str, Any] = {
        "resume": resume,
        "start_from": start_from,
        "device": device,
        "devices": devices,
        "nodes": nodes,
    }
    if source is None:
        if data is None:
            raise RecipeError("Give --data, the folder that holds the recipe's data sets, or --source, another one.")
        if any(value is not None for value in (split, fold, keep, scans)):
            raise RecipeError(
                "--split, --fold, --keep and --scans are of --source; a recipe names its own. Give --source too."
            )
        _fit(path, data, out, **choices)
        return
    text = recipe_on(path, source, split=split, fold=fold, keep=keep, scans=scans)
    with TemporaryDirectory() as folder:
        changed = Path(folder) / path.name
        changed.write_text(text, encoding="utf-8")
        _fit(changed, data or source.parent, out, **choices)


def _fit(recipe: Path, data: Path, out: Path, *, devices: int, nodes: int, **choices: Any) -> None:
    import rich.console
    import rich.progress

    from pancascade.training import fit
    from pancascade.training.processes import Training, fit_in_processes, is_follower, require_alone

    console = rich.console.Console(quiet=is_follower(nodes))
    columns = (*rich.progress.Progress.get_default_columns(), rich.progress.TextColumn("{task.fields[note]}"))
    with rich.progress.Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("epoch", note="")
        told = 0

        def show(run: "Standing", done: int, batches: int) -> None:
            nonlocal told
            for epoch in run.history[told:]:
                console.print(describe(epoch), highlight=False)
            told = len(run.history)
            phase = run.recipe.phase_of(run.epoch)
            title = f"epoch {run.epoch + 1}/{run.recipe.epochs} ({phase})"
            bars.update(task, completed=done, total=batches, description=title)

        if devices * nodes == 1:
            require_alone()
            history = fit(recipe, data, out=out, progress=show, **choices).history
        else:
            training = Training(recipe, data, out, devices=devices, nodes=nodes, **choices)
            history = fit_in_processes(training, progress=show)
        for epoch in history[told:]:
            console.print(describe(epoch), highlight=False)
    best = out / "best.safetensors"
    if best.is_file():
        console.print(f"Best weights: {best}", soft_wrap=True, highlight=False)


def describe(epoch: dict[str, object]) -> str:
    """One line about an epoch of a run's history."""
    losses = " ".join(f"{name} {value:.3f}" for name, value in epoch["losses"].items())  # type: ignore[attr-defined]
    dice = " ".join(f"{name} {value:.3f}" for name, value in epoch["dice"].items())  # type: ignore[attr-defined]
    return f"epoch {epoch['epoch']} ({epoch['phase']}), {epoch['seconds']} s: loss {losses}" + (
        f"; validation Dice {dice}" if dice else ""
    )
