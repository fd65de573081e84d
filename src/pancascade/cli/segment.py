"""``pancascade segment``: a scan in, mask, pictures and numbers out."""

from pathlib import Path
from typing import Annotated

import typer

from pancascade.errors import OutputError

DEFAULT_MODEL = "qiu2024-small"


def segment(
    scan: Annotated[Path, typer.Argument(help="CT scan: .nii, .nii.gz; with the extra [itk] .nrrd, .mha.")],
    out: Annotated[Path, typer.Option(help="Folder for the results; made if it is missing.")],
    model: Annotated[str, typer.Option(help="A name that `pancascade models` lists, or a checkpoint.")] = DEFAULT_MODEL,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    save_probabilities: Annotated[
        bool, typer.Option("--save-probabilities", help="Also write a probability map of each label.")
    ] = False,
) -> None:
    """Find pancreas and tumour in a CT scan; write segmentation.nii.gz, overview.png and result.json."""
    claim_folder(out)
    import rich.console
    import rich.progress

    from pancascade.inference import segment as run
    from pancascade.report import measure

    console = rich.console.Console(markup=False)
    with rich.progress.Progress(console=console, transient=True) as bars:
        tasks: dict[str, rich.progress.TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks or bars.tasks[tasks[what]].total != total:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done)

        found = run(scan, model=model, device=device, progress=show)
    found.save(out, save_probabilities=save_probabilities)
    for title, size in measure(found.mask).items():
        console.print(f"{title.replace('_', ' '):22}{size['volume_ml']:9.1f} mL {size['voxels']:10d} voxels")
    for warning in found.warnings:
        console.print(f"Warning: {warning}", style="yellow", highlight=False, soft_wrap=True)
    console.print(f"Pictures: {out / 'overview.png'}", soft_wrap=True, highlight=False)
    console.print(
        f"Mask: {out / 'segmentation.nii.gz'}   Numbers: {out / 'result.json'}",
        soft_wrap=True,
        highlight=False,
    )
    console.print("Research use only. Not for clinical use.", style="dim")


def claim_folder(out: Path) -> None:
    """Make the folder and try to write into it, before any long work.

    Raises:
        OutputError: It cannot be made or written.
    """
    from tempfile import TemporaryFile

    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}). Choose another --out folder.") from error
