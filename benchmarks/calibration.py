"""Fit the shipped model's calibration on validation patients and measure it on test patients.

    python benchmarks/calibration.py --data DATA --out docs/results/calibration.json --plot docs/reliability.png

The organ is measured on whole slices of `nih_slices` with the first cascade, the tumour on the regions of `pdac_roi`
with the second. Then the tumour score is measured, as far as it is possible without healthy whole scans.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from pancascade.data.readers import Case, region_folder, slice_folder
from pancascade.data.splits.splits import cases_of, read_split
from pancascade.files.atomic import written_whole
from pancascade.imaging.preprocessing import Window
from pancascade.imaging.volume import Box, Volume, reorient
from pancascade.inference.localization.region_probabilities import RegionProbabilities
from pancascade.inference.models.calibration_fit import (
    TargetCounts,
    best_scaling,
    held_out_gain,
    quality_of,
    reliabilities,
)
from pancascade.inference.models.known_models import DEFAULT_MODEL, find_model
from pancascade.inference.models.model_calibration import Calibration, CalibrationQuality, calibrated
from pancascade.inference.pipeline.tumour_score import patient_tumour_score
from pancascade.inference.runners.slice_runner import SliceRunner
from pancascade.inference.runners.torch_runners import load_runner
from pancascade.labels import Label
from pancascade.metrics import DetectedLesion, DetectionTable, Interval, Resamples, ScanDetections
from pancascade.metrics.calibration import Scaling, apply_scaling
from pancascade.metrics.detection_statistics import auroc
from pancascade.report.comparison.reliability_figure import write_reliability
from pancascade.training.recipe import recipes_folder

ORGAN = (Label.PANCREAS, Label.TUMOUR)
ONE_SLICE_MM = 100.0
"""Thickness of a single slice, so that its neighbourhood is inside it."""

SLICES_A_PATIENT = 7
"""Slices per patient in the comparison with healthy patients, who have no more: a score is a maximum."""


class Seen(NamedTuple):
    """Prediction and reference of one region or slice.

    Attributes:
        patient: Name of the patient.
        prediction: Uncalibrated.
        truth: Labels (I, J, K), axes to left, posterior, superior.
        spacing_mm: Along I, J, K.
    """

    patient: str
    prediction: RegionProbabilities
    truth: NDArray[np.uint8]
    spacing_mm: tuple[float, float, float]


def read_cases(name: str, data: Path, part: str) -> list[Case]:
    """Return the cases of a part of the fixed split."""
    split = read_split(recipes_folder() / "splits" / f"{name}.json")
    if name == "nih_slices":
        cases = slice_folder(data / name, window=Window(lower_hu=0, upper_hu=255), flip_rows=True)
    else:
        cases = region_folder(data / name)
    return cases_of(cases, split[part])  # type: ignore[index]


def look(runner: SliceRunner, hu: Volume) -> RegionProbabilities:
    """Return the prediction of a cascade for an LPS-oriented volume."""
    return runner.find(hu, at=Box.whole(hu.shape))


def as_volume(axial: Any, runner: SliceRunner) -> Volume:
    """Return a single slice as a volume of one slice; an unknown spacing becomes the canvas's assumed spacing."""
    row_mm, column_mm = axial.spacing_mm or (runner.canvas.assumed_spacing_mm,) * 2
    return Volume(axial.hu.T[:, :, None], np.diag([-column_mm, -row_mm, ONE_SLICE_MM, 1.0]))


def see_slices(runner: SliceRunner, cases: Iterable[Case], *, title: str) -> list[Seen]:
    """Return whole slices, each separately."""
    seen = []
    for case in track(list(cases), description=title, transient=True):
        for axial in case.read_slices():
            volume = as_volume(axial, runner)
            seen.append(Seen(axial.patient, look(runner, volume), axial.labels.T[:, :, None], volume.spacing_mm))
    return seen


def see_regions(runner: SliceRunner, cases: Iterable[Case], *, title: str) -> list[Seen]:
    """Return regions of scans as volumes."""
    seen = []
    for case in track(list(cases), description=title, transient=True):
        if case.scan is None:
            raise SystemExit(f"{case.name}: no volume")
        scan, labels = (reorient(volume, "LPS") for volume in case.scan.read())
        seen.append(Seen(case.patient, look(runner, scan), labels.voxels.astype(np.uint8), scan.spacing_mm))
    return seen


def count(seen: Sequence[Seen], labels: tuple[Label, ...]) -> list[TargetCounts]:
    """Return the voxels of one target by patient."""
    by_patient: dict[str, list[TargetCounts]] = {}
    for one in seen:
        whole = Box.whole(one.truth.shape)
        probability = one.prediction.organ_in(whole) if labels == ORGAN else one.prediction.tumour_in(whole)
        by_patient.setdefault(one.patient, []).append(TargetCounts.of(probability, np.isin(one.truth, labels)))
    return [TargetCounts.together(parts) for parts in by_patient.values()]


def spread(patients: Sequence[TargetCounts]) -> dict[str, Interval]:
    """Return the best temperature and offset with their 95 % intervals over patients."""
    resamples = Resamples.draw([str(n) for n in range(len(patients))], resamples=300)
    drawn = [best_scaling(TargetCounts.of_patients([patients[n] for n in row])) for row in resamples.drawn]
    best = best_scaling(TargetCounts.of_patients(patients))
    return {
        name: resamples.interval(point, [one[place] for one in drawn])
        for place, (name, point) in enumerate(zip(best._fields, best, strict=True))
    }


def separation(scores: Sequence[tuple[str, bool, float]]) -> Interval:
    """Return the AUROC of (patient, has a tumour, score), with its interval over patients."""
    lesion = DetectedLesion(10.0, 1.0, None, 0.0)
    table = DetectionTable.of([ScanDetections(who, (lesion,) if ill else (), (), score) for who, ill, score in scores])
    resamples = Resamples.draw([who for who, _, _ in scores])
    return resamples.interval(auroc(table), auroc(table, resamples.case_weights()))


def slice_scores(
    pancreas: SliceRunner, tumour: SliceRunner, cases: Iterable[Case], calibration: Calibration, *, margin_mm: float
) -> list[tuple[str, bool, float]]:
    """Return patient, tumour or not, and score of every slice with pancreas, in the box of the reference pancreas."""
    scores = []
    for case in track(list(cases), description="score slices", transient=True):
        for axial in case.read_slices():
            whole = as_volume(axial, pancreas)
            organ = Box.around(np.isin(axial.labels.T[:, :, None], ORGAN))
            if organ is None:
                continue
            spacing_mm = (*whole.spacing_mm[:2], ONE_SLICE_MM)
            field = organ.expand_mm(margin_mm, spacing_mm=spacing_mm).clip(whole.shape)
            part = Volume(np.ascontiguousarray(whole.voxels[field.slices]), whole.affine)
            prediction = calibrated(look(tumour, part), calibration)
            ill = bool(np.isin(axial.labels, Label.TUMOUR).any())
            scores.append((axial.patient, ill, patient_tumour_score(prediction, spacing_mm)))
    return scores


def by_patient(scores: Sequence[tuple[str, bool, float]], *, ill: bool) -> list[tuple[str, bool, float]]:
    """Return each patient's highest score over evenly spaced slices, as many as the healthy patients have."""
    slices: dict[str, list[float]] = {}
    for who, _, score in scores:
        slices.setdefault(who, []).append(score)
    chosen = {
        who: [own[n] for n in np.unique(np.linspace(0, len(own) - 1, SLICES_A_PATIENT).round().astype(int))]
        for who, own in slices.items()
    }
    return [(who, ill, max(own)) for who, own in chosen.items()]


def main() -> None:
    """Fit and measure the calibration, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="of two steps: pancreas, then tumour in its region")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    console, model = Console(width=160), find_model(arguments.model)
    runners = [load_runner(model.folder / step.weights, torch.device("cpu")) for step in model.steps]
    pancreas, tumour = runners
    if not (isinstance(pancreas, SliceRunner) and isinstance(tumour, SliceRunner)):
        raise SystemExit(f"{arguments.model}: works on volumes; this benchmark is for slices.")
    seen = {
        (target, part): see(runner, read_cases(data_set, arguments.data, part), title=f"{target}, {part}")
        for part in ("validation", "test")
        for target, see, runner, data_set in (
            ("organ", see_slices, pancreas, "nih_slices"),
            ("tumour", see_regions, tumour, "pdac_roi"),
        )
    }
    wanted: dict[str, tuple[Label, ...]] = {"organ": ORGAN, "tumour": (Label.TUMOUR,)}
    patients = {(target, part): count(those, wanted[target]) for (target, part), those in seen.items()}
    pooled = {key: TargetCounts.of_patients(counts) for key, counts in patients.items()}
    fits: dict[str, dict[str, Scaling]] = {
        name: {target: best_scaling(pooled[target, "validation"], temperature_only=alone) for target in wanted}
        for name, alone in (("temperature alone", True), ("temperature and offset", False))
    }
    chosen = fits["temperature and offset"]
    intervals = {target: spread(patients[target, "validation"]) for target in wanted}
    gains = {
        name: {target: held_out_gain(patients[target, "validation"], temperature_only=alone) for target in wanted}
        for name, alone in (("temperature alone", True), ("temperature and offset", False))
    }
    qualities = {
        (target, part, name): quality_of(counts, scalings[target])
        for (target, part), counts in pooled.items()
        for name, scalings in fits.items()
    }
    calibration = Calibration(
        organ_temperature=chosen["organ"].temperature,
        organ_offset=chosen["organ"].offset,
        tumour_temperature=chosen["tumour"].temperature,
        tumour_offset=chosen["tumour"].offset,
    )
    thresholds = {
        name: {
            target: float(apply_scaling(threshold, scalings[target]))
            for target, threshold in (("organ", model.organ_threshold), ("tumour", model.tumour_threshold))
        }
        for name, scalings in fits.items()
    }
    print_qualities(console, qualities)
    more = {
        "scalings": {name: {target: one._asdict() for target, one in found.items()} for name, found in fits.items()},
        "intervals_over_validation_patients": intervals,
        "gain_on_validation_patients_left_out": gains,
        "thresholds_that_leave_masks_as_they_are": thresholds,
    }
    console.print(more)
    tumour_score = evaluate_tumour_score(
        seen["tumour", "test"], pancreas, tumour, arguments.data, calibration, model.steps[1]
    )
    console.print(tumour_score)
    if arguments.plot is not None:
        panels = {
            f"{target}, {pooled[target, 'test'].patients} test patients": reliabilities(pooled[target, "test"], scaling)
            for target, scaling in chosen.items()
        }
        write_reliability(arguments.plot, panels, said_by="voxels of at least 0.02, each patient counts the same")
    if arguments.out is not None:
        result = {
            "model": model.name,
            **more,
            "quality": {" ".join(key): quality.model_dump() for key, quality in qualities.items()},
            "tumour_score": tumour_score,
        }
        with written_whole(arguments.out) as temporary:
            temporary.write_text(json.dumps(result, indent=1) + "\n")


def evaluate_tumour_score(
    regions: Sequence[Seen],
    pancreas: SliceRunner,
    tumour: SliceRunner,
    data: Path,
    calibration: Calibration,
    step: Any,
) -> dict[str, Any]:
    """Return the scores of test patients and their AUROC."""
    patients = {
        one.patient: patient_tumour_score(calibrated(one.prediction, calibration), one.spacing_mm) for one in regions
    }
    groups = [
        slice_scores(pancreas, tumour, read_cases(name, data, "test"), calibration, margin_mm=step.margin_mm)
        for name in ("pdac_roi", "nih_slices")
    ]
    ill, healthy = (by_patient(group, ill=place == 0) for place, group in enumerate(groups))
    return {
        "pdac_roi test regions in 3-D, by patient": patients,
        "AUROC, slices with tumour against slices without, same pdac_roi patients": separation(groups[0]),
        "slices": {"with": sum(s[1] for s in groups[0]), "without": sum(not s[1] for s in groups[0])},
        f"AUROC, patients with tumour against healthy NIH patients, {SLICES_A_PATIENT} slices each; other scanners": (
            separation([*ill, *healthy])
        ),
        "highest of the slices": {"pdac_roi": [s[2] for s in ill], "nih_slices": [s[2] for s in healthy]},
    }


def print_qualities(console: Console, qualities: dict[tuple[str, str, str], CalibrationQuality]) -> None:
    """Print one row per target, part and scaling."""
    table = Table("target", "scaling", "patients", "voxels", "missed", "ECE", "Brier", "NLL")
    for (target, part, name), found in sorted(qualities.items(), key=lambda item: (item[0][0], item[0][1] == "test")):
        pairs = [
            f"{getattr(found, f'{metric}_before'):.4f} → {getattr(found, f'{metric}_after'):.4f}"
            for metric in ("ece", "brier", "nll")
        ]
        table.add_row(
            f"{target}, {part}", name, str(found.patients), f"{found.voxels:,}", f"{found.missed_voxels:,}", *pairs
        )
    console.print(table)


if __name__ == "__main__":
    main()
