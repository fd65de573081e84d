"""``pancascade data split``: split data sets by patient."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pancascade.cli import data_options as options
from pancascade.errors import DataError
from pancascade.files.given_paths import real_path

if TYPE_CHECKING:
    from pancascade.data.readers import Case
    from pancascade.data.splits.split_designs import Design, DrawnSplit
    from pancascade.data.splits.tumour_sizes import CaseSize

SHOWN = 5


def split(
    data: Annotated[list[Path], typer.Argument(help="Folders of data sets, CSV lists of volumes, or prepared stores.")],
    out: Annotated[Path, typer.Option(help="The split file to write (.json).")],
    design: Annotated[
        str | None,
        typer.Option(
            help="qiu2024-msd (216/65), qiu2024-nih (62/20), lsnet (60/20), dsms (70/10/20 %), zhao2019 (4 folds of "
            "NIH), five-fold, or 70-10-20."
        ),
    ] = None,
    parts: Annotated[
        tuple[float, float, float] | None,
        typer.Option(help="Instead of a design: shares of train, validation and test, such as 80 10 10."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random draw.")] = 0,
    duplicates: Annotated[
        Path | None,
        typer.Option(help="check.json of `pancascade data check`: its duplicate patients stay in one part."),
    ] = None,
    layout: options.LayoutName = None,
    picture_window: options.PictureWindow = None,
    flip_rows: options.FlipRows = False,
    workers: options.Workers = 0,
) -> None:
    """Split by patient with a seed, small and large tumours spread evenly; training and evaluation use the file.

    Use a design of folds with `fold: 0` in a recipe, or --fold 0 in an evaluation: that fold is the test part.
    """
    from pancascade.cli.out_folder import tried
    from pancascade.data.splits.check_report import duplicate_patients, read_report
    from pancascade.data.splits.split_designs import draw_design
    from pancascade.data.splits.tumour_sizes import UNKNOWN, size_strata

    chosen = _design(design, parts)
    if out.exists():
        raise DataError(f"{out}: exists already, and runs may depend on it. Choose another --out.")
    report = {"findings": []} if duplicates is None else read_report(duplicates)
    options.require_pictures(data, layout=layout, picture_window=picture_window, flip_rows=flip_rows)
    sizes: list[CaseSize] = []
    read = partial(options.read_cases, layout=layout, picture_window=picture_window, flip_rows=flip_rows)
    with tried(out.parent):
        for path in data:
            sizes += _sizes(path, report, read=read, workers=workers)
    strata = size_strata(sizes)
    groups, strange = duplicate_patients(report, {size.case: size.patient for size in sizes})
    drawn = draw_design(
        chosen,
        strata,
        seed=seed,
        strata=None if set(strata.values()) == {UNKNOWN} else strata,
        groups=groups,
    )
    _write(drawn, out, seed=seed, sources=[real_path(path).name for path in data], strata=strata)
    _print_summary(drawn, strata, out)
    for trouble in [size.trouble for size in sizes if size.trouble]:
        typer.echo(f"Size unknown: {trouble}")
    if strange:
        listed = ", ".join(strange[:SHOWN]) + (", ..." if len(strange) > SHOWN else "")
        typer.echo(f"{duplicates}: names {listed}, which is not in this data.")


def _design(name: str | None, shares: tuple[float, float, float] | None) -> "Design":
    from pancascade.data.splits.split_designs import DESIGNS, custom_design, find_design

    if (name is None) == (shares is None):
        raise DataError(f"Give one of --design ({', '.join(DESIGNS)}) and --parts, such as --parts 80 10 10.")
    return custom_design(shares) if shares is not None else find_design(str(name))


def _sizes(
    path: Path, report: dict[str, Any], *, read: "Callable[[Path], list[Case]]", workers: int
) -> "list[CaseSize]":
    from pancascade.cli.progress import shown_progress
    from pancascade.data.splits.check_report import sizes_in_report
    from pancascade.data.splits.tumour_sizes import CaseSize, read_tumour_sizes, sizes_in_store
    from pancascade.execution.parallel import available_cores

    if (path / "cases.parquet").is_file():
        return sizes_in_store(path)
    cases = read(path)
    known = sizes_in_report(report)
    if all(case.name in known for case in cases):
        return [CaseSize(case.name, case.patient, known[case.name]) for case in cases]
    with shown_progress("tumour sizes", total=len(cases)) as show:
        return read_tumour_sizes(
            cases,
            workers=workers or available_cores(),
            progress=show,
        )


def _write(drawn: "DrawnSplit", out: Path, *, seed: int, sources: Sequence[str], strata: dict[str, str]) -> None:
    from pancascade.files.digests import text_digest

    about = {
        "note": " ".join(drawn.sentences),
        "design": drawn.design.name,
        "seed": seed,
        "source": list(sources),
        "patients": {"number": len(strata), "digest": text_digest("\n".join(sorted(strata)))},
    }
    drawn.write(out, about=about)


def _print_summary(drawn: "DrawnSplit", strata: dict[str, str], out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from pancascade.data.splits.split_designs import names_of_parts
    from pancascade.data.splits.tumour_sizes import STRATA

    kinds = [stratum for stratum in STRATA if stratum in strata.values()]
    table = Table("part", "patients", *kinds)
    for name, part in zip(names_of_parts(drawn.design), drawn.parts, strict=True):
        counts = [sum(strata[patient] == kind for patient in part) for kind in kinds]
        table.add_row(name, *map(str, (len(part), *counts)))
    console = Console(markup=False)
    console.print(f"{drawn.design.name}: {drawn.note}", highlight=False, soft_wrap=True)
    console.print(table)
    for remark in drawn.remarks:
        console.print(remark, highlight=False, soft_wrap=True)
    use = f"split: {out.name}" + (", fold: 0" if drawn.design.folds else "")
    console.print(f"Split: {out} (in a recipe, beside it: {use})", highlight=False, soft_wrap=True)
