"""Measure the confidence of the location on whole scans and slices, unchanged and damaged on purpose.

    python benchmarks/location_confidence.py --data DATA --model qiu2024-small --out OUT.json

A confidence of 0.9 should be correct in nine of ten cases. A mask of the pancreas is correct if its Dice is at least
0.6. The model's `location_fit` is fitted to all rows, with equal weights for the patients. The table shows the
predictions of fits to the other patients (leave one patient out). All scans are validation scans: a whole CT, two
short stacks, six regions, and the slices of nine patients of NIH and CURVAS, each patient as a small scan.
"""

import argparse
import json
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.optimize import minimize
from scipy.stats import spearmanr

from pancascade.data.readers import region_folder, slice_folder
from pancascade.data.splits.splits import cases_of
from pancascade.errors import PancascadeError
from pancascade.files.atomic import written_whole
from pancascade.imaging.io import read_volume
from pancascade.imaging.preprocessing import Window
from pancascade.imaging.volume import Volume, reorient
from pancascade.inference.localization.location_confidence import RIGHT_DICE, LocationFit, LogisticFit
from pancascade.labels import Label
from pancascade.segmentation import segment
from scan_damage import IN_PLANE, OF_SCANS, Damage, as_it_is, thinned
from tumour_detection import split_of, stacks

STEADY = 0.02
"""Weight of the squared coefficients; it keeps a fit to few patients finite."""

FEW = ("noise of 40 HU", "soft tissue 30 HU darker", "turned by 20°", "mirrored left-right")
"""Damages of the smaller scans."""

Row = dict[str, Any]
Scene = tuple[str, str, Volume, NDArray[np.uint8]]
"""Patient, damage, scan and its organ."""


def scenes(data: Path) -> Iterator[Scene]:
    """Return all scans, LPS-oriented, with each damage."""
    window = Window(lower_hu=0, upper_hu=255)
    few = {name: IN_PLANE[name] for name in FEW}
    scan, label = (read_volume(data / "nih_volumes" / f"PANCREAS_0001_{kind}.nii.gz") for kind in ("ct", "label"))
    organ = (reorient(label, "LPS").voxels > 0).astype(np.uint8)
    yield from damaged("PANCREAS_0001", *thinned(reorient(scan, "LPS"), organ), {**IN_PLANE, **OF_SCANS})
    for path in sorted((data / "amos_slices").glob("*_stack.npz")):
        with np.load(path) as stored:
            hu, labels, spacing = (stored[key].astype(np.float64) for key in ("hu", "labels", "spacing"))
        affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
        stack = Volume(hu.transpose(2, 1, 0)[:, ::-1].astype(np.int16), affine)
        yield from damaged(path.stem, stack, (labels == 10).transpose(2, 1, 0)[:, ::-1].astype(np.uint8), few)
    for case in cases_of(region_folder(data / "pdac_roi"), split_of("pdac_roi")["validation"]):
        assert case.scan is not None  # noqa: S101
        scan, label = case.scan.read()
        organ = (reorient(label, "LPS").voxels > 0).astype(np.uint8)
        yield from damaged(case.name, reorient(scan, "LPS"), organ, few)
    for name, values in {"nih_slices": None, "curvas_slices": {1: Label.PANCREAS}}.items():
        read = slice_folder(data / name, window=window, flip_rows=True, mask_values=values)
        for patient, stacked, labels in stacks(cases_of(read, split_of(name)["validation"])):
            yield from damaged(patient, stacked, labels, few)


def damaged(patient: str, scan: Volume, organ: NDArray[np.uint8], damages: dict[str, Damage]) -> Iterator[Scene]:
    """Return a scan without damage, and with each damage."""
    for name, damage in {"as it is": as_it_is, **damages}.items():
        yield (patient, name, *damage(scan, organ))


def measure(scene: Scene, model: str) -> Row | None:
    """Return the model's result for a scan, and the Dice of its mask; None if the scan is refused."""
    patient, damage, scan, organ = scene
    try:
        found = segment(scan, model=model, keep_doubtful=True)
    except PancascadeError:
        return None
    mask, location = found.mask.voxels > 0, found.location
    if location is None:
        raise SystemExit("this model locates nothing, so it has no confidence")
    total = int(mask.sum()) + int((organ > 0).sum())
    reported = {key: getattr(location, key) for key in ("confidence", "agreement", "plausibility", "level")}
    return {"patient": patient, "damage": damage, "dice": 2 * int((mask & (organ > 0)).sum()) / total, **reported}


def fitted(rows: Sequence[Row]) -> LocationFit:
    """Fit the probability of a correct mask, and the expected Dice, to agreement and plausibility."""
    dice = np.array([row["dice"] for row in rows])
    return LocationFit(right=logistic(rows, (dice >= RIGHT_DICE).astype(float)), dice=logistic(rows, dice))


def logistic(rows: Sequence[Row], target: NDArray[np.float64]) -> LogisticFit:
    """Minimise the cross-entropy to a target in [0, 1], with equal weights for the patients."""
    values = features(rows)
    patients = [row["patient"] for row in rows]
    weight = np.array([1 / patients.count(patient) for patient in patients])
    weight /= weight.sum()

    def loss(factors: NDArray[np.float64]) -> float:
        score = values @ factors
        return float(weight @ (np.logaddexp(0, score) - target * score) + STEADY / 10 * (factors[1:] ** 2).sum() / 10)

    constant, agreement, plausibility = minimize(loss, np.zeros(3), method="BFGS").x.round(3).tolist()
    return LogisticFit(constant=constant, agreement=agreement, plausibility=plausibility)


def features(rows: Sequence[Row]) -> NDArray[np.float64]:
    """Return (N, 3): 1, agreement, plausibility."""
    return np.array([[1.0, row["agreement"] or 0.0, row["plausibility"] or 0.0] for row in rows])


def left_out(rows: Sequence[Row]) -> None:
    """Add to each row the prediction of a fit to the other patients."""
    for patient in {row["patient"] for row in rows}:
        fit = fitted([row for row in rows if row["patient"] != patient])
        for row in (row for row in rows if row["patient"] == patient):
            about = (row["agreement"] or 0.0, row["plausibility"] or 0.0)
            row["fitted"], row["expected_dice"] = fit.right.of(*about), fit.dice.of(*about)


def reliability(rows: Sequence[Row], key: str) -> list[dict[str, float]]:
    """Return, for each fifth of the confidence range, rows, mean confidence, share of correct masks, mean Dice."""
    bins = []
    for least in np.arange(0, 1, 0.2):
        own = [row for row in rows if least <= row[key] < least + 0.2 or (least > 0.7 and row[key] == 1)]
        if own:
            right = float(np.mean([row["dice"] >= RIGHT_DICE for row in own]))
            reported, dice = (float(np.mean([row[name] for row in own])) for name in (key, "dice"))
            bins.append(
                {"from": round(float(least), 1), "rows": len(own), "told": reported, "right": right, "dice": dice}
            )
    return bins


def main() -> None:
    """Measure, fit, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="qiu2024-small")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    found = [measure(scene, arguments.model) for scene in track(list(scenes(arguments.data)), description="scans")]
    rows, console = [row for row in found if row is not None], Console(width=140)
    left_out(rows)
    fit = fitted(rows)
    dice = [row["dice"] for row in rows]
    ranks = {key: round(float(spearmanr([row[key] for row in rows], dice)[0]), 3) for key in ("confidence", "fitted")}
    result: dict[str, Any] = {"fit": fit.model_dump(), "spearman with Dice": ranks}
    for key in ("confidence", "fitted"):
        table = Table("from", "rows", "confidence", f"Dice ≥ {RIGHT_DICE}", "mean Dice", title=key)
        result[f"reliability of {key}"] = bins = reliability(rows, key)
        for line in bins:
            table.add_row(*(f"{value:.3g}" for value in line.values()))
        console.print(table)
    errors = [abs(row["expected_dice"] - row["dice"]) for row in rows]
    result["error of the expected Dice"] = round(float(np.mean(errors)), 4)
    console.print(result["fit"], ranks, f"mean error of the expected Dice {np.mean(errors):.3f}, rows {len(rows)}")
    if arguments.out is not None:
        about = {"model": arguments.model, "machine": platform.machine(), "torch": torch.__version__}
        with written_whole(arguments.out) as temporary:
            temporary.write_text(json.dumps({**about, **result, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
