"""``pancascade data export-nnunet``: write a data set in nnU-Net's raw layout."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from pancascade.cli import data_options as options
from pancascade.cli.held_folder import held
from pancascade.errors import DataError
from pancascade.messages.counts import counted


def export_nnunet(
    data: Annotated[Path, typer.Argument(help="Folder of a data set, or a CSV of scans.")],
    split: Annotated[
        Path, typer.Option(help="Split file with parts, or with folds, which all become folds of nnU-Net.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of raw data sets, nnUNet_raw; DatasetXXX_NAME is made in it.")],
    dataset_id: Annotated[int, typer.Option("--id", min=1, max=999, help="XXX, any free number.")] = 701,
    name: Annotated[str, typer.Option(help="NAME.")] = "Pancreas",
    target: Annotated[
        Literal["both", "pancreas"], typer.Option(help="Labels: pancreas and tumour, or the pancreas with its tumour.")
    ] = "both",
    layout: options.LayoutName = None,
    workers: options.Workers = 0,
) -> None:
    """Write a data set and its split for nnU-Net v2: the same patients, labels and grids, for a fair comparison."""
    from pancascade.cli.progress import shown_progress
    from pancascade.data.exporting.nnunet_export import SPLITS, export_nnunet
    from pancascade.data.splits.splits import count_folds, read_split
    from pancascade.execution.parallel import available_cores

    if not re.fullmatch(r"[A-Za-z0-9]+", name):
        raise DataError("--name: nnU-Net accepts only letters and digits, such as Pancreas.")
    numbers: list[int | None] = [*range(count_folds(split))] or [None]
    folds = [dict(read_split(split, fold=number)) for number in numbers]
    cases = options.read_cases(data, layout=layout, picture_window=None, flip_rows=False)
    folder = out / f"Dataset{dataset_id:03d}_{name}"
    with (
        held(folder, what="data export-nnunet"),
        shown_progress("export") as show,
    ):
        made = export_nnunet(
            cases,
            folder,
            folds=[{str(part): patients for part, patients in fold.items()} for fold in folds],
            target=target,
            workers=workers or available_cores(),
            progress=show,
        )
    typer.echo(f"{folder}: {counted(len(made.training), 'case')} for training, {len(made.test)} for the test.")
    typer.echo(
        f"{SPLITS}: {counted(made.folds, 'fold')}. Copy it into nnUNet_preprocessed/{folder.name} before training."
    )
