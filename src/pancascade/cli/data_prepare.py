"""``pancascade data prepare``: make a store for training from a downloaded data set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pancascade.cli import data_options as options
from pancascade.cli import executor_options
from pancascade.cli.exit_codes import INCOMPLETE
from pancascade.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from pancascade.data.preparing.prepare import Preparation
    from pancascade.data.readers import Case
    from pancascade.data.store.options import PrepareOptions, SourceReading
    from pancascade.execution import Executor


def prepare(
    folder: Annotated[Path, typer.Argument(help="Folder of a data set, or a CSV of scans; with --verify a store.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the store; an interrupted one is finished.")] = None,
    kind: Annotated[
        Literal["volumes", "slices", "pictures"] | None,
        typer.Option(
            help="Whole volumes or single slices in Hounsfield units, or 8-bit PNG pictures.",
            show_default="volumes, or slices where there are no whole scans",
        ),
    ] = None,
    spacing: Annotated[
        tuple[float, float, float] | None,
        typer.Option(
            help="Voxel size to resample to, in mm: left, back, head, such as 0.8 0.8 2.5.", show_default="native"
        ),
    ] = None,
    keep: Annotated[
        Literal["all", "pancreas", "tumour"], typer.Option(help="Slices to keep: all, or those with this label.")
    ] = "all",
    window: Annotated[
        tuple[float, float] | None,
        typer.Option(help="HU of grey 0 and grey 255 of --kind pictures.", show_default="-100 240"),
    ] = None,
    layout: options.LayoutName = None,
    picture_window: options.PictureWindow = None,
    flip_rows: options.FlipRows = False,
    workers: options.Workers = 0,
    engine: executor_options.Where = executor_options.ExecutorKind.PROCESSES,
    address: executor_options.Address = None,
    verify: Annotated[bool, typer.Option("--verify", help="Only compare a store's files with its manifest.")] = False,
) -> None:
    """Make a store for training: compressed, slice by slice, with an index; resumable."""
    from rich.console import Console

    console = Console(markup=False)
    console = console if console.is_terminal else Console(width=200, markup=False)
    if verify:
        if out is not None:
            raise DataError(f"--verify checks the store {folder}; --out {out} does not go with it. Leave it out.")
        _verify(folder, console)
        return
    if out is None:
        raise DataError(f"Give --out, a folder for the store of {folder}.")
    cluster = executor_options.choose_cluster(engine, workers=workers, address=address)
    options.require_pictures([folder], layout=layout, picture_window=picture_window, flip_rows=flip_rows)
    cases = options.read_cases(folder, layout=layout, picture_window=picture_window, flip_rows=flip_rows)
    chosen = _options(
        cases,
        kind=kind,
        spacing=spacing,
        keep=keep,
        window=window,
        reading=_reading(folder, layout=layout, picture_window=picture_window, flip_rows=flip_rows),
    )
    _print(_run(cases, out, chosen, workers=workers, cluster=cluster), out, console)


def _reading(
    folder: Path, *, layout: str | None, picture_window: tuple[float, float] | None, flip_rows: bool
) -> "SourceReading":
    from pancascade.data.readers import Layout, recognise
    from pancascade.data.store.options import SourceReading

    chosen, pictures = options.choose_reading(layout, picture_window=picture_window, flip_rows=flip_rows)
    found = chosen or recognise(folder)
    if found is not Layout.SLICE_FOLDER:
        return SourceReading(layout=found)
    return SourceReading(layout=found, picture_window=pictures.window, flip_rows=flip_rows)


def _options(
    cases: "Sequence[Case]",
    *,
    kind: Literal["volumes", "slices", "pictures"] | None,
    spacing: tuple[float, float, float] | None,
    keep: Literal["all", "pancreas", "tumour"],
    window: tuple[float, float] | None,
    reading: "SourceReading",
) -> "PrepareOptions":
    from pydantic import ValidationError

    from pancascade.data.store.options import PrepareOptions
    from pancascade.files.documents import first_fault
    from pancascade.imaging.preprocessing import Window

    whole = kind is None and keep == "all" and all(case.scan is not None for case in cases)
    try:
        return PrepareOptions(
            kind=kind or ("volumes" if whole else "slices"),
            spacing_mm=spacing,
            keep=keep,
            window=None if window is None else Window(lower_hu=window[0], upper_hu=window[1]),
            reading=reading,
        )
    except ValidationError as error:
        raise DataError(f"{first_fault(error)}. Check the options.") from error


def _run(
    cases: "Sequence[Case]", out: Path, chosen: "PrepareOptions", *, workers: int, cluster: "Executor | None"
) -> "Preparation":
    from pancascade.cli.progress import shown_progress
    from pancascade.data.preparing.prepare import prepare as run
    from pancascade.execution.parallel import available_cores

    with shown_progress("prepare") as show:
        return run(
            cases,
            out,
            options=chosen,
            workers=workers or available_cores(),
            executor=cluster,
            progress=show,
        )


def _verify(store: Path, console: "Console") -> None:
    from pancascade.cli.progress import shown_progress
    from pancascade.data.preparing.store_folder import verify
    from pancascade.data.store.manifest import read_manifest

    with shown_progress("verify") as show:
        faults = verify(store, progress=show)
    for fault in faults:
        console.print(fault, style="yellow", soft_wrap=True, highlight=False)
    if faults:
        raise typer.Exit(INCOMPLETE)
    console.print(f"{store}: all {len(read_manifest(store).files)} files are unchanged.", highlight=False)


def _print(done: "Preparation", out: Path, console: "Console") -> None:
    from rich.table import Table

    manifest, counts = done.manifest, done.manifest.counts
    table = Table(title=f"{out}: {manifest.options.kind}", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    already = counts.cases - done.anew
    table.add_row("cases", f"{counts.cases}" + (f" ({already} were there already)" if already else ""))
    for key in ("slices", "with_pancreas", "with_tumour"):
        table.add_row(
            key.replace("_", " ") if key == "slices" else f"  {key.replace('_', ' ')}", f"{getattr(counts, key)}"
        )
    table.add_row("disk", f"{counts.size_bytes / 1e6:.1f} MB")
    table.add_row("failures", f"{len(manifest.failures)}")
    console.print(table)
    if manifest.published:
        papers = Table("in the source", "found", "published", "by")
        for count in manifest.published:
            papers.add_row(count.what, count.found, count.published, count.paper)
        console.print(papers)
    for count in manifest.published:
        if count.differs:
            console.print(f"Differs: {count.sentence}", soft_wrap=True, highlight=False)
    if done.removed:
        gone = f"{', '.join(done.removed[:5])}{', ...' if len(done.removed) > 5 else ''}"
        console.print(f"Removed from the store, because the data set no longer has them: {gone}.", soft_wrap=True)
    for failure in manifest.failures:
        message = f"Not in the store: {failure.case}: {failure.message}"
        console.print(message, style="yellow", soft_wrap=True, highlight=False)
    if manifest.failures:
        raise typer.Exit(INCOMPLETE)
