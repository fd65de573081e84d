"""``pancascade data describe``: the fingerprint of a data set, and its suggestions for a recipe."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pancascade.cli import data_options as options
from pancascade.cli.exit_codes import INCOMPLETE
from pancascade.cli.held_folder import held
from pancascade.files.given_paths import real_path
from pancascade.messages.counts import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from pancascade.data.describing.case_groups import Spread
    from pancascade.data.describing.fingerprint import Fingerprint
    from pancascade.data.readers import Case

_SHOWN = (
    "column_spacing_mm",
    "slice_distance_mm",
    "slices",
    "pancreas_ml",
    "slices_with_pancreas",
    "box_width_mm",
    "box_depth_mm",
    "box_length_mm",
    "slice_box_columns",
    "slice_box_rows",
    "tumour_ml",
    "largest_diameter_mm",
    "slices_with_tumour",
    "pancreas_mean_hu",
    "tumour_mean_hu",
    "contrast_hu",
)
"""Quantities on the screen; the files have all."""


def describe(
    folder: Annotated[Path, typer.Argument(help="Folder of a data set or a prepared store, or a CSV of scans.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for fingerprint.json, cases.csv and fingerprint.html.")
    ] = None,
    split: Annotated[Path | None, typer.Option(help="Split file whose parts are described side by side.")] = None,
    fold: Annotated[
        int | None, typer.Option(min=0, help="For a split with folds: the fold that is the test part, counted from 0.")
    ] = None,
    layout: options.LayoutName = None,
    picture_window: options.PictureWindow = None,
    flip_rows: options.FlipRows = False,
    workers: options.Workers = 0,
) -> None:
    """Describe a data set: spacing, sizes, Hounsfield units, volumes, lesions, and suggestions for a recipe."""
    options.require_pictures([folder], layout=layout, picture_window=picture_window, flip_rows=flip_rows)
    cases = options.read_cases(folder, layout=layout, picture_window=picture_window, flip_rows=flip_rows)
    from pancascade.cli.evaluation_options import wide_console
    from pancascade.data.splits.splits import read_split
    from pancascade.files.replacing import require_replaceable

    parts = None
    if split is not None:
        parts = {str(part): patients for part, patients in read_split(split, fold=fold).items()}
    console = wide_console()
    with held(out, what="data describe"):
        if out is not None:
            from pancascade.report.data_sets.fingerprint_page import FILES, write_fingerprint

            require_replaceable(out, FILES, seals=FILES[-1:], read=[folder, split])
        found = _run(cases, parts, out, workers=workers)
        _print(found, folder, console)
        if out is not None:
            write_fingerprint(found, out, name=real_path(folder).stem)
            console.print(f"{', '.join(FILES)}: {out}", soft_wrap=True, highlight=False)
    for failure in found.failures:
        message = f"No numbers for {failure.case}: {failure.message}"
        console.print(message, style="yellow", soft_wrap=True, highlight=False)
    if found.failures:
        raise typer.Exit(INCOMPLETE)


def _run(
    cases: "Sequence[Case]", parts: "dict[str, frozenset[str]] | None", out: Path | None, *, workers: int
) -> "Fingerprint":
    from pancascade.cli.progress import shown_progress
    from pancascade.data.describing.fingerprint import fingerprint
    from pancascade.execution.parallel import available_cores

    with shown_progress("describe") as show:
        return fingerprint(
            cases,
            parts=parts,
            records=None if out is None else out / "cases",
            workers=workers or available_cores(),
            progress=show,
        )


def _print(found: "Fingerprint", folder: Path, console: "Console") -> None:
    from rich.table import Table

    from pancascade.data.describing.case_quantities import BY_KEY

    whole = found.groups[0]
    title = (
        f"{real_path(folder).name}: {counted(whole.cases, 'case')} of {counted(whole.patients, 'patient')}, "
        f"{whole.with_pancreas} with pancreas, "
        f"{whole.with_tumour} with tumour; {whole.slices} axial slices, {whole.slices_with_pancreas} with pancreas, "
        f"{whole.slices_with_tumour} with tumour"
    )
    console.print(title, soft_wrap=True, highlight=False)
    several = len(found.groups) > 1
    spelled = "median (smallest to largest)"
    table = Table(spelled if several else "quantity")
    for group in found.groups:
        table.add_column(f"{group.name}, {counted(group.cases, 'case')}" if several else spelled)
    for key in _SHOWN:
        if key in whole.spreads:
            spreads = [group.spreads.get(key) for group in found.groups]
            cells = ["–" if s is None else _spell(s) for s in spreads]
            table.add_row(BY_KEY[key].heading, *cells)
    for size in whole.lesions if whole.with_tumour else ():
        table.add_row(f"lesions {size}", *(str(group.lesions.get(size, "–")) for group in found.groups))
    console.print(table)
    suggestions = Table("suggestion", "of this data set", "why", "of others")
    for suggestion in whole.suggestions:
        suggestions.add_row(
            suggestion.recipe_key or suggestion.what,
            suggestion.text,
            " ".join(filter(None, (suggestion.why, suggestion.caution))),
            suggestion.published,
        )
    if whole.suggestions:
        console.print(suggestions)


def _spell(spread: "Spread") -> str:
    from pancascade.report.data_sets.fingerprint_page import number

    if spread.minimum == spread.maximum:
        return number(spread.median)
    return f"{number(spread.median)} ({number(spread.minimum)} to {number(spread.maximum)})"
