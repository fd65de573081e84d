"""``pancascade attribute``: where a cascade loses, stage by stage."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pancascade.cli.evaluation_options import INCOMPLETE, spell, wide_console
from pancascade.cli.held_folder import held
from pancascade.cli.segment import DEFAULT_MODEL
from pancascade.errors import DataError, PancascadeError

if TYPE_CHECKING:
    from rich.console import Console

    from pancascade.evaluation import Attribution, AttributionSummary, Failure
    from pancascade.inference import Model

TITLES = {
    "dice": "Dice end to end",
    "true_box_dice": "Dice with stage 2 in the true box (bound)",
    "box_recall": "box recall",
    "box_iou": "box IoU",
    "lost_share": "share of the target lost to the crop",
    "first_stage_share": "share of the error from stage 1",
    "second_stage_share": "share of the error from stage 2",
}


def attribute(
    scans: Annotated[Path, typer.Argument(help="Folder of CT scans, or one scan.")],
    reference: Annotated[
        Path, typer.Argument(help="Folder of label maps with the same names (1 pancreas, 2 tumour), or one.")
    ],
    model: Annotated[str, typer.Option(help="A name that `pancascade models` lists, or a checkpoint.")] = DEFAULT_MODEL,
    out: Annotated[Path | None, typer.Option(help="Folder for attribution.json.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Segment scans twice, with stage 1's boxes and with the true ones: which stage do the errors come from?"""
    with held(out, what="attribute"):
        _attribute(scans, reference, model=model, out=out, device=device)


def _attribute(scans: Path, reference: Path, *, model: str, out: Path | None, device: str) -> None:
    from rich.progress import track

    from pancascade.evaluation import Failure
    from pancascade.evaluation.pairing import pair
    from pancascade.inference.models import find_model

    chosen, console = find_model(model), wide_console()
    pairs = pair(scans, reference)
    failures = list(pairs.failures)
    found: dict[str, list[Attribution]] = {}
    for case, (truth, scan) in track(pairs.masks.items(), description="segment", console=console, transient=True):
        try:
            for target, row in _attribute_case(case, scan, truth, model=chosen, device=device).items():
                found.setdefault(target, []).append(row)
        except PancascadeError as error:
            failures.append(Failure(case, str(error)))
    if not found:
        reason = failures[0].message if failures else "no reference shows a target"
        raise DataError(f"{scans}: nothing to attribute. The first reason: {reason}")
    _report(found, failures, console=console, out=out, model=chosen.name)
    if failures:
        raise typer.Exit(INCOMPLETE)


def _attribute_case(
    case: str, scan: Path | None, truth: Path, *, model: "Model", device: str
) -> "dict[str, Attribution]":
    """Attribution by target of those that the reference shows."""
    import numpy as np

    from pancascade.evaluation import attribute
    from pancascade.inference.tracing import trace
    from pancascade.io import read_label_map, read_scan
    from pancascade.labels import Label

    if scan is None:
        raise DataError(f"{truth}: no scan of this name.")
    reference = read_label_map(truth)
    values = np.unique(reference.voxels)
    if not np.isin(values, list(Label)).all():
        raise DataError(f"{truth}: holds values other than 0, 1 (pancreas) and 2 (tumour). Map the labels first.")
    traced = trace(read_scan(scan), reference, model=model, device=device)
    wanted = {Label.PANCREAS: (Label.PANCREAS, Label.TUMOUR), Label.TUMOUR: (Label.TUMOUR,)}
    return {
        label.title: attribute(
            np.isin(traced.labels, wanted[label]),
            np.isin(traced.true_box_labels, wanted[label]),
            np.isin(traced.reference, wanted[label]),
            covered,
            case=case,
            patient=case,
        )
        for label, covered in traced.covered.items()
        if np.isin(traced.reference, wanted[label]).any()
    }


def _report(
    found: "dict[str, list[Attribution]]",
    failures: "list[Failure]",
    *,
    console: "Console",
    out: Path | None,
    model: str,
) -> None:
    from rich.table import Table

    from pancascade.evaluation import summarise_attribution
    from pancascade.evaluation.writing import plain
    from pancascade.io import written_whole

    summaries: dict[str, AttributionSummary] = {name: summarise_attribution(rows) for name, rows in found.items()}
    for target, summary in summaries.items():
        table = Table(
            f"{model}: {target}",
            f"{summary.cases} {'case' if summary.cases == 1 else 'cases'}, {summary.missed} missed by stage 1",
        )
        for key, title in TITLES.items():
            table.add_row(title, spell(getattr(summary, key)))
        console.print(table)
    for failure in failures:
        console.print(f"No numbers for {failure.case}: {failure.message}", style="yellow", highlight=False)
    if out is not None:
        result = {
            "model": model,
            "protocol": "per scan, native grid; intervals: 95 % bootstrap over patients, 10000 resamples, seed 0",
            "targets": {
                target: {"summary": asdict(summaries[target]), "cases": [asdict(row) for row in rows]}
                for target, rows in found.items()
            },
            "failures": [failure._asdict() for failure in failures],
        }
        with written_whole(out / "attribution.json") as temporary:
            temporary.write_text(json.dumps(plain(result), indent=1) + "\n")
        console.print(f"Numbers: {out / 'attribution.json'}", soft_wrap=True, highlight=False)
