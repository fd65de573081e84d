"""``pancascade segment``: a scan in, mask, pictures and numbers out."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from pancascade.errors import OutputError

DEFAULT_MODEL = "qiu2024-small"


def segment(
    scan: Annotated[
        Path,
        typer.Argument(
            help="CT scan: .nii, .nii.gz; a folder or .zip of DICOM files; with the extra [itk] .nrrd, .mha."
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder for the results; made if it is missing.")] = None,
    model: Annotated[str, typer.Option(help="A name that `pancascade models` lists, or a checkpoint.")] = DEFAULT_MODEL,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    save_probabilities: Annotated[
        bool, typer.Option("--save-probabilities", help="Also write a probability map of each label.")
    ] = False,
    series: Annotated[
        str | None, typer.Option(help="Of DICOM, the series to take: its UID, number, or a part of its description.")
    ] = None,
    list_series: Annotated[bool, typer.Option("--list-series", help="Only list the DICOM series in SCAN.")] = False,
) -> None:
    """Find pancreas and tumour in a CT scan; write segmentation.nii.gz, overview.png and result.json."""
    if list_series:
        _list_series(scan)
        return
    if out is None:
        raise OutputError("Give --out, a folder for the results.")
    with _claimed(out):
        _segment(scan, out, model=model, device=device, save_probabilities=save_probabilities, series=series)


def _segment(scan: Path, out: Path, *, model: str, device: str, save_probabilities: bool, series: str | None) -> None:
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

        found = run(scan, model=model, device=device, series=series, progress=show)
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


def _list_series(scan: Path) -> None:
    from pancascade.errors import UnreadableError
    from pancascade.io import find_series

    found = find_series(scan)
    if not found:
        raise UnreadableError(f"{scan}: there is no DICOM series here.")
    for each in found:
        typer.echo(f"{each}  {each.uid}")


@contextmanager
def _claimed(out: Path) -> Iterator[None]:
    """The folder, made and tried before any long work; gone again if it was made for nothing."""
    made = not out.exists()
    claim_folder(out)
    try:
        yield
    except BaseException:
        if made and not any(out.iterdir()):
            out.rmdir()
        raise


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
