"""``pancascade predict``: inference as in the papers, on a part of a data set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pancascade.cli import data_options as options
from pancascade.cli.evaluation_options import Fold, PartName, wide_console
from pancascade.cli.exit_codes import INCOMPLETE
from pancascade.messages.counts import counted

if TYPE_CHECKING:
    from rich.console import Console

    from pancascade.evaluation.prediction_set import PredictionSet

Source = Annotated[Path, typer.Option("--source", help="Folder of a data set in any known layout, or a CSV of scans.")]
SplitFile = Annotated[
    Path | None, typer.Option("--split", help="Split file: use only the cases of one part; without it all cases.")
]


def predict(
    model: Annotated[Path, typer.Argument(help="Folder of a training run (its best weights), or a .safetensors file.")],
    source: Source,
    out: Annotated[Path, typer.Option(help="Folder for the masks and predictions.json.")],
    split: SplitFile = None,
    fold: Fold = None,
    part: PartName = "test",
    layout: options.LayoutName = None,
    picture_window: options.PictureWindow = None,
    flip_rows: options.FlipRows = False,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Also write probability maps.")] = False,
    workers: Annotated[int, typer.Option(help="Number of processes; 0 takes one for every CPU core.", min=0)] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an earlier run into --out.")] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Predict as in the papers: locate, box, crop, segment, paste, ½; without the additions of `segment`."""
    from pancascade.cli.progress import shown_progress
    from pancascade.cli.reading_options import cases_of_part, find_reading
    from pancascade.execution.parallel import available_cores
    from pancascade.inference.prediction.predict_cases import find_checkpoint, predict_cases

    weights = find_checkpoint(model)
    reading = find_reading(
        source, layout=layout, picture_window=picture_window, flip_rows=flip_rows, checkpoint=weights
    )
    cases, reported = cases_of_part(source, reading, split=split, part=part, fold=fold)
    console = wide_console()
    with shown_progress("predict", total=len(cases)) as show:
        found = predict_cases(
            weights,
            cases,
            out,
            device=device,
            probabilities=probabilities,
            workers=workers or available_cores(),
            resume=resume,
            on_done=show,
            source=reported,
        )
    _print_summary(found, out, console)
    if found.failed:
        raise typer.Exit(INCOMPLETE)


def _print_summary(found: "PredictionSet", out: Path, console: "Console") -> None:
    seconds = sum(case.seconds for case in found.done)
    number = counted(len(found.done), "case")
    console.print(f"{number} predicted by {found.checkpoint} in {seconds:.1f} s ({found.backend})", highlight=False)
    for case in found.failed:
        console.print(f"No mask of {case.case}: {case.message}", style="yellow", soft_wrap=True, highlight=False)
    console.print(f"Masks, predictions.json: {out}", soft_wrap=True, highlight=False)
