"""``pancascade attribute``: attribute the errors of a cascade to its stages."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pancascade.cli import data_options as options
from pancascade.cli.attribution_output import print_stages, write_attribution
from pancascade.cli.evaluation_options import Fold, PartName, wide_console
from pancascade.cli.exit_codes import INCOMPLETE
from pancascade.cli.held_folder import held
from pancascade.cli.segment_options import DEFAULT_MODEL
from pancascade.errors import DataError, PancascadeError, with_first_reason

if TYPE_CHECKING:
    from rich.console import Console

    from pancascade.evaluation import Attribution, Failure
    from pancascade.inference.models.model import Model


def attribute(
    scans: Annotated[Path | None, typer.Argument(help="Folder of CT scans, or one scan.")] = None,
    reference: Annotated[
        Path | None, typer.Argument(help="Folder of label maps with the same names (1 pancreas, 2 tumour), or one.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="Name from `pancascade models`, or a checkpoint; with --source also a training run.")
    ] = DEFAULT_MODEL,
    out: Annotated[Path | None, typer.Option(help="Folder for attribution.json.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    source: Annotated[
        Path | None,
        typer.Option(
            "--source", help="A data set in place of SCANS and REFERENCE; uses the papers' pass, as `predict`."
        ),
    ] = None,
    split: Annotated[
        Path | None, typer.Option("--split", help="With --source, a split file: use only the cases of one part.")
    ] = None,
    fold: Fold = None,
    part: PartName = "test",
    layout: options.LayoutName = None,
    picture_window: options.PictureWindow = None,
    flip_rows: options.FlipRows = False,
) -> None:
    """Attribute errors to the stages: segment cases with stage 1's boxes and with the true ones."""
    if source is not None:
        if scans is not None or reference is not None:
            raise DataError("Give either --source, or SCANS and REFERENCE.")
        from pancascade.cli.attribute_data_set import attribute_data_set
        from pancascade.cli.reading_options import cases_of_part, find_reading
        from pancascade.inference.prediction.predict_cases import find_checkpoint

        with held(out, what="attribute"):
            weights = find_checkpoint(Path(model))
            reading = find_reading(
                source, layout=layout, picture_window=picture_window, flip_rows=flip_rows, checkpoint=weights
            )
            cases, reported = cases_of_part(source, reading, split=split, part=part, fold=fold)
            attribute_data_set(Path(model), cases, source=reported, out=out, device=device)
        return
    if scans is None or reference is None:
        raise DataError("Give SCANS and REFERENCE, or a data set as --source.")
    given = {"--split": split, "--fold": fold, "--layout": layout, "--picture-window": picture_window}
    misplaced = [option for option, value in given.items() if value is not None]
    misplaced += ["--part"] * (part != "test") + ["--flip-rows"] * flip_rows
    if misplaced:
        raise DataError(
            f"{misplaced[0]} is an option for data sets; SCANS and REFERENCE are none. Give it as --source."
        )
    with held(out, what="attribute"):
        _attribute(scans, reference, model=model, out=out, device=device)


def _attribute(scans: Path, reference: Path, *, model: str, out: Path | None, device: str) -> None:
    from pancascade.cli.progress import shown_progress
    from pancascade.evaluation import Failure
    from pancascade.evaluation.pairing import pair
    from pancascade.inference.models.known_models import find_model

    chosen, console = find_model(model), wide_console()
    pairs = pair(scans, reference)
    failures = list(pairs.failures)
    found: dict[str, list[Attribution]] = {}
    with shown_progress("segment", total=len(pairs.masks)) as show:
        for number, (case, (truth, scan)) in enumerate(pairs.masks.items()):
            show(number)
            try:
                for target, row in _attribute_case(case, scan, truth, model=chosen, device=device).items():
                    found.setdefault(target, []).append(row)
            except PancascadeError as error:
                failures.append(Failure(case, str(error)))
    if not found:
        reason = failures[0].message if failures else "no reference shows a target"
        raise DataError(with_first_reason(f"{scans}: nothing to attribute.", reason))
    _report(found, failures, console=console, out=out, model=chosen.name)
    if failures:
        raise typer.Exit(INCOMPLETE)


def _attribute_case(
    case: str, scan: Path | None, truth: Path, *, model: "Model", device: str
) -> "dict[str, Attribution]":
    """Return the attribution of each target that the reference shows."""
    import numpy as np

    from pancascade.imaging.io import read_label_map, read_scan
    from pancascade.inference.pipeline.stage_tracing import trace
    from pancascade.inference.prediction.stage_errors import rows_of
    from pancascade.labels import Label

    if scan is None:
        raise DataError(f"{truth}: no scan has this name.")
    reference = read_label_map(truth)
    values = np.unique(reference.voxels)
    if not np.isin(values, list(Label)).all():
        raise DataError(f"{truth}: holds values other than 0, 1 (pancreas) and 2 (tumour). Map the labels first.")
    traced = trace(read_scan(scan), reference, model=model, device=device)
    return {label.title: row for label, row in rows_of(traced, case=case, patient=case).items()}


def _report(
    found: "dict[str, list[Attribution]]",
    failures: "list[Failure]",
    *,
    console: "Console",
    out: Path | None,
    model: str,
) -> None:
    reported = print_stages(found, console=console, model=model)
    for failure in failures:
        console.print(f"No numbers for {failure.case}: {failure.message}", style="yellow", highlight=False)
    if out is not None:
        protocol = "per scan, native grid; intervals: 95 % bootstrap over patients, 10000 resamples, seed 0"
        failed = [failure._asdict() for failure in failures]
        write_attribution(
            {"model": model, "protocol": protocol, "targets": reported, "failures": failed}, out, console=console
        )
