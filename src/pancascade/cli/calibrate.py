"""``pancascade calibrate``: calibrate a model's probabilities on scans with references."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pancascade.cli.evaluation_options import Patients, wide_console
from pancascade.cli.exit_codes import INCOMPLETE
from pancascade.errors import DataError, OutputError, PancascadeError, listed, with_first_reason
from pancascade.files.given_paths import real_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from pancascade.evaluation.pairing import Failure, Pairs
    from pancascade.inference.models.calibration_fit import TargetCounts
    from pancascade.inference.models.model import Model

    Found = dict[str, dict[str, list[TargetCounts]]]
    """Counts by target and patient."""


def calibrate(
    model: Annotated[str, typer.Argument(help="Name from `pancascade models`, a checkpoint, or a model.json.")],
    scans: Annotated[Path, typer.Argument(help="Folder of CT scans, or one scan.")],
    reference: Annotated[
        Path, typer.Argument(help="Folder of label maps with the same names (1 pancreas, 2 tumour), or one.")
    ],
    out: Annotated[
        Path, typer.Option(help="File of the calibrated model, .json; its plot, a .png, is written beside it.")
    ],
    patients: Patients = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    allow_training_cases: Annotated[
        bool,
        typer.Option("--allow-training-cases", help="Also use patients of the model's training data."),
    ] = False,
    temperature_only: Annotated[
        bool, typer.Option("--temperature-only", help="Fit only a temperature, no offset.")
    ] = False,
) -> None:
    """Calibrate the organ's and the tumour's probabilities on scans with references; write the calibrated model.

    Voxels count where the model gives the target a probability of at least 0.02, right or wrong; all patients have the
    same weight. The thresholds are scaled in the same way, so that masks do not change.
    """
    if out.suffix != ".json":
        raise OutputError(f"{out}: a model's description is a .json file. Give --out such a name.")
    if real_path(out) == real_path(model):
        raise OutputError(f"--out {out}: is also the model that is read. Choose another name.")
    from pancascade.evaluation.pairing import pair
    from pancascade.evaluation.side_tables import read_patients
    from pancascade.files.file_names import match_names
    from pancascade.inference.models.known_models import find_model

    chosen, console = find_model(model), wide_console()
    pairs = pair(scans, reference)
    patient_of = {} if patients is None else match_names(pairs.masks, read_patients(patients))
    if not allow_training_cases:
        _require_new(chosen, pairs, patient_of, device=device)
    found, failures = _count(chosen, pairs, patient_of, beside=out, device=device)
    if not found["organ"]:
        raise DataError(with_first_reason(f"{scans}: no scan could be counted.", failures[0].message))
    _fit(found, failures, model=chosen, out=out, console=console, temperature_only=temperature_only)
    if failures:
        raise typer.Exit(INCOMPLETE)


def _count(
    model: "Model", pairs: "Pairs", patient_of: "Mapping[str, str]", *, beside: Path, device: str
) -> "tuple[Found, list[Failure]]":
    """Counts of each target by patient, and the cases that have none.

    Args:
        model: To be calibrated; it runs without a calibration.
        pairs: Scans and label maps.
        patient_of: Patient of each case, where that is not the case itself.
        beside: File that will be written; its folder is tried first.
        device: Where the networks run, ``cpu`` or ``cuda``.
    """
    from tempfile import TemporaryDirectory

    from pancascade.cli.out_folder import tried
    from pancascade.cli.progress import shown_progress
    from pancascade.evaluation.pairing import Failure
    from pancascade.inference.models.calibrated_model import with_calibration, write_model
    from pancascade.inference.models.model_calibration import Calibration

    failures = list(pairs.failures)
    found: Found = {"organ": {}, "tumour": {}}
    with tried(beside.parent), TemporaryDirectory() as folder:
        plain = Path(folder) / "model.json"
        write_model(with_calibration(model, Calibration()), plain, whole_paths=True)
        with shown_progress("segment", total=len(pairs.masks)) as show:
            for number, (case, (truth, scan)) in enumerate(pairs.masks.items()):
                show(number)
                try:
                    counts = _count_case(scan, truth, model=str(plain), device=device)
                except PancascadeError as error:
                    failures.append(Failure(case, str(error)))
                    continue
                for target, count in counts.items():
                    found[target].setdefault(patient_of.get(case, case), []).append(count)
    return found, failures


def _require_new(model: "Model", pairs: "Pairs", patient_of: "Mapping[str, str]", *, device: str) -> None:
    """Refuse patients of the model's recorded training data.

    Raises:
        DataError: The model was trained on one of the patients.
    """
    from pancascade.files.digests import patient_mark
    from pancascade.inference.runners.loading import LoadedModel, load_runners, trained_on

    records = trained_on([LoadedModel(model, tuple(load_runners(model, device, backend="torch")))])
    marks = {str(mark) for record in records for mark in record["patients"]}
    seen = [case for case in pairs.masks if not marks.isdisjoint(map(patient_mark, {case, patient_of.get(case, case)}))]
    if seen:
        raise DataError(
            f"{model.name}: was trained on {listed(seen)}, and is more confident there than on new patients. "
            "Leave them out, or allow them with --allow-training-cases."
        )


def _count_case(scan: Path | None, truth: Path, *, model: str, device: str) -> "dict[str, TargetCounts]":
    """Return the counts of one scan by target."""
    import numpy as np

    from pancascade.errors import GeometryError
    from pancascade.imaging.io import read_label_map, read_scan
    from pancascade.inference.models.calibration_fit import TargetCounts
    from pancascade.labels import Label
    from pancascade.segmentation import segment

    if scan is None:
        raise DataError(f"{truth}: no scan has this name.")
    reference, volume = read_label_map(truth), read_scan(scan)
    if not reference.on_same_grid_as(volume):
        raise GeometryError(f"{truth}: not on the grid of {scan}. Write it on the scan's grid.")
    if not np.isin(np.unique(reference.voxels), list(Label)).all():
        raise DataError(f"{truth}: holds values other than 0, 1 (pancreas) and 2 (tumour). Map the labels first.")
    segmented = segment(volume, model=model, device=device)
    tumour = segmented.region_probabilities[Label.TUMOUR - 1].astype(np.float32)
    organ = np.minimum(segmented.region_probabilities.sum(axis=0, dtype=np.float32), 1)
    counted = {}
    for target, probability, labels in (
        ("organ", organ, (Label.PANCREAS, Label.TUMOUR)),
        ("tumour", tumour, (Label.TUMOUR,)),
    ):
        true = np.isin(reference.voxels, labels)
        inside = true[segmented.region.slices] if segmented.region is not None else np.zeros(probability.shape, bool)
        outside = int(np.count_nonzero(true) - np.count_nonzero(inside))
        counted[target] = TargetCounts.of(probability, inside, outside=outside)
    return counted


def _fit(
    found: "Found",
    failures: "list[Failure]",
    *,
    model: "Model",
    out: Path,
    console: "Console",
    temperature_only: bool,
) -> None:
    from pancascade.inference.models.calibrated_model import with_calibration, write_model
    from pancascade.inference.models.calibration_fit import (
        TargetCounts,
        best_scaling,
        held_out_gain,
        quality_of,
        reliabilities,
    )
    from pancascade.report.comparison.reliability_figure import write_reliability

    fitted, panels, kept = {}, {}, {}
    for target, by_patient in found.items():
        pooled = TargetCounts.of_patients([TargetCounts.together(parts) for parts in by_patient.values()])
        try:
            scaling = best_scaling(pooled, temperature_only=temperature_only)
        except DataError as error:
            kept[target] = str(error)
            continue
        gain = held_out_gain(
            [TargetCounts.together(parts) for parts in by_patient.values()], temperature_only=temperature_only
        )
        fitted[target] = (scaling, quality_of(pooled, scaling).model_copy(update={"held_out_gain": gain}))
        panels[f"{target}, {pooled.patients} patients"] = reliabilities(pooled, scaling)
    if not fitted:
        raise DataError(f"{model.name}: nothing could be fitted. Organ: {kept['organ']}")
    changes: dict[str, object] = {"data": f"{len(found['organ'])} patients, whole scans"}
    for target, (scaling, quality) in fitted.items():
        temperature, offset = scaling
        changes |= {f"{target}_temperature": temperature, f"{target}_offset": offset, target: quality}
    calibration = model.calibration.model_copy(update=changes)
    calibrated = with_calibration(model, calibration)
    write_reliability(out.with_suffix(".png"), panels, said_by="voxels of at least 0.02")
    write_model(calibrated, out)
    _report(calibrated, kept, failures, out=out, console=console)


def _report(model: "Model", kept: dict[str, str], failures: "list[Failure]", *, out: Path, console: "Console") -> None:
    from rich.table import Table

    names = ("patients", "voxels", "missed", "temperature", "offset", "ECE", "Brier", "NLL", "threshold now")
    table = Table(model.name, *names)
    for target, quality in (("organ", model.calibration.organ), ("tumour", model.calibration.tumour)):
        if quality is None or target in kept:
            continue
        pairs = [
            f"{getattr(quality, f'{name}_before'):.4f} → {getattr(quality, f'{name}_after'):.4f}"
            for name in ("ece", "brier", "nll")
        ]
        numbers = (str(quality.patients), f"{quality.voxels:,}", f"{quality.missed_voxels:,}")
        temperature, offset = getattr(model.calibration, f"{target}_scaling")
        threshold = getattr(model, f"{target}_threshold")
        table.add_row(target, *numbers, f"{temperature:.3f}", f"{offset:+.3f}", *pairs, f"{threshold:.3f}")
    console.print(table)
    for target, quality in (("organ", model.calibration.organ), ("tumour", model.calibration.tumour)):
        if quality is not None and target not in kept and (quality.held_out_gain or 0.0) <= 0:
            console.print(_doubt(target, quality.patients), style="yellow", soft_wrap=True)
    for target, reason in kept.items():
        console.print(f"The {target}'s calibration was not changed: {reason}", style="yellow", soft_wrap=True)
    for failure in failures:
        console.print(f"No numbers for {failure.case}: {failure.message}", style="yellow", soft_wrap=True)
    console.print(f"Model: {out}; plot: {out.with_suffix('.png')}", soft_wrap=True, highlight=False)


def _doubt(target: str, patients: int) -> str:
    if patients == 1:
        return f"The {target}'s calibration is of one patient; it may not fit another. Give more patients."
    return (
        f"The {target}'s calibration is unreliable: on patients left out of the fit it is no better than none "
        f"({patients} patients, each left out in turn). Give more patients, or leave the model unchanged."
    )
