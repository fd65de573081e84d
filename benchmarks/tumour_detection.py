"""Measure tumours in 3-D by patient: Dice and sensitivity by size, false lesions, AUROC of the tumour score.

    python benchmarks/tumour_detection.py --data DATA --part validation --model qiu2024-small --out result.json

Scans with tumour are the regions of `pdac_roi`. Healthy scans are the patients of `nih_slices` and, for validation,
those of `curvas_slices` with pancreas, two short stacks (`amos_slices`) and a whole CT. The single slices of a
patient, from the feet up, make a small scan of 5 mm. Both groups thus differ in more than the tumour (regions against
whole slices): a good AUROC here does not mean a good AUROC among the scans of one hospital.
"""

import argparse
import json
import platform
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy import ndimage
from skimage.morphology import convex_hull_image

from pancascade.data.readers import AxialSlice, Case, region_folder, slice_folder
from pancascade.data.splits.splits import Part, cases_of, read_split
from pancascade.files.atomic import written_whole
from pancascade.imaging.io import read_volume
from pancascade.imaging.preprocessing import Window
from pancascade.imaging.volume import Volume
from pancascade.inference.models.known_models import find_model
from pancascade.labels import Label
from pancascade.metrics import DetectionTable, Resamples, ScanDetections, detect
from pancascade.metrics.detection_statistics import auroc
from pancascade.segmentation import segment
from pancascade.training.recipe import recipes_folder

SIZES_ML = ((0.0, 3.0), (3.0, 15.0), (15.0, float("inf")))
SLICE_MM, PIXEL_MM = 5.0, 0.8
Scan = tuple[str, Volume, NDArray[np.uint8]]
"""Name, scan, and labels on the scan's grid."""


def ill(data: Path, part: Part) -> Iterator[Scan]:
    """Return the regions of patients with a tumour."""
    for case in cases_of(region_folder(data / "pdac_roi"), split_of("pdac_roi")[part]):
        assert case.scan is not None  # noqa: S101
        scan, labels = case.scan.read()
        yield case.name, scan, labels.voxels


def healthy(data: Path, part: Part) -> Iterator[Scan]:
    """Return the scans of patients without tumour."""
    window = Window(lower_hu=0, upper_hu=255)
    sets = {"nih_slices": None, "curvas_slices": {1: Label.PANCREAS}}
    for name, values in sets.items():
        if name == "curvas_slices" and part != "validation":
            continue
        read = slice_folder(data / name, window=window, flip_rows=True, mask_values=values)
        yield from stacks(cases_of(read, split_of(name)[part]))
    if part == "validation":
        for path in sorted((data / "amos_slices").glob("*_stack.npz")):
            with np.load(path) as stack:
                hu, labels, spacing = (stack[key] for key in ("hu", "labels", "spacing"))
            affine = np.diag([-spacing[2], spacing[1], spacing[0], 1.0])
            yield path.stem, Volume(hu.transpose(2, 1, 0), affine), np.where(labels == 10, 1, 0).transpose(2, 1, 0)
        scan, label = (read_volume(data / "nih_volumes" / f"PANCREAS_0001_{kind}.nii.gz") for kind in ("ct", "label"))
        yield "PANCREAS_0001", scan, (label.voxels > 0).astype(np.uint8)


def split_of(name: str) -> Any:
    """Return the fixed split of a data set."""
    return read_split(recipes_folder() / "splits" / f"{name}.json")


def stacks(cases: Sequence[Case]) -> Iterator[Scan]:
    """Return the slices with pancreas of each patient as a small scan."""
    slices = [axial for case in cases for axial in case.read_slices() if (axial.labels > 0).any()]
    for patient, own in groupby(sorted(slices, key=lambda axial: (axial.patient, axial.name)), lambda a: a.patient):
        yield (patient, *stack(list(own)))


def stack(slices: Sequence[AxialSlice]) -> tuple[Volume, NDArray[np.uint8]]:
    """Return slices from the feet up as a scan of 5 mm, with air around the patient."""
    hu = [np.where(patient_outline(axial.hu), axial.hu, -1000).T for axial in slices]
    affine = np.diag([-PIXEL_MM, -PIXEL_MM, SLICE_MM, 1.0])
    return Volume(np.stack(hu, axis=2).astype(np.int16), affine), np.stack([a.labels.T for a in slices], axis=2)


def patient_outline(hu: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Return the hull of the lean tissue (H, W) and 8 mm of skin and fat around it, without thin tables."""
    lean = ndimage.binary_closing(np.pad(hu > 25, 20), iterations=12)[20:-20, 20:-20]
    pieces, _ = ndimage.label(ndimage.binary_opening(ndimage.binary_fill_holes(lean), iterations=4))
    largest = int(np.argmax(np.bincount(pieces.ravel())[1:])) + 1
    hull = convex_hull_image(pieces == largest)  # type: ignore[no-untyped-call]
    return ndimage.binary_dilation(hull, iterations=round(8 / PIXEL_MM))


def measure(name: str, scan: Volume, labels: NDArray[np.uint8], model: str) -> tuple[dict[str, Any], ScanDetections]:
    """Segment a scan with the whole model; return its row of numbers, and its lesions."""
    found = segment(scan, model=model)
    marked, ml = found.mask.voxels == Label.TUMOUR, scan.voxel_volume_ml
    tumour, organ = labels == Label.TUMOUR, labels > 0
    lesions = detect(marked, tumour, scan.spacing_mm, patient=name, score=found.tumour_score)
    row = {
        "patient": name,
        "tumour_ml": round(float(tumour.sum() * ml), 2),
        "marked_ml": round(float(marked.sum() * ml), 2),
        "dice": dice(marked, tumour) if tumour.any() else None,
        "slices": int(tumour.any(axis=(0, 1)).sum()),
        "dice_slices": over_slices(marked, tumour),
        "dice_organ": dice(found.mask.voxels > 0, organ),
        "score": found.tumour_score,
        "false_lesions": len(lesions.false_positives),
        "found": sum(lesion.confidence is not None for lesion in lesions.lesions),
        "lesions": len(lesions.lesions),
    }
    return row, lesions


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the Dice of two masks that are not both empty."""
    return round(float(2 * (one & other).sum() / max(1, one.sum() + other.sum())), 4)


def over_slices(found: NDArray[np.bool_], reference: NDArray[np.bool_]) -> float | None:
    """Return the mean Dice over the axial slices that show the target; None without such slices."""
    shown = np.flatnonzero(reference.any(axis=(0, 1)))
    return mean([dice(found[:, :, k], reference[:, :, k]) for k in shown])


def summarise(rows: Sequence[dict[str, Any]], found: Sequence[ScanDetections]) -> dict[str, Any]:
    """Return means over patients by size, and the AUROC of the tumour score with its 95 % interval."""
    sick = [row for row in rows if row["dice"] is not None]
    well = [row for row in rows if row["dice"] is None]
    table = DetectionTable.of(found)
    drawn = Resamples.draw([scan.patient for scan in found])
    weights = np.stack([np.bincount(row, minlength=len(found)) for row in drawn.drawn])[:, drawn.patient_of_case]
    area = float(auroc(table))
    low, high = np.nanpercentile(auroc(table, weights), (2.5, 97.5))
    return {
        "ill": len(sick),
        "dice": mean([row["dice"] for row in sick]),
        "dice_over_slices": round(
            float(np.average([r["dice_slices"] for r in sick], weights=[r["slices"] for r in sick])), 4
        )
        if sick
        else None,
        "slices": sum(row["slices"] for row in sick),
        "dice_organ_ill": mean([row["dice_organ"] for row in sick]),
        "by_size": [
            {
                "ml": [least, most],
                "patients": len(own),
                "dice": mean([row["dice"] for row in own]),
                "found": sum(row["found"] for row in own),
                "lesions": sum(row["lesions"] for row in own),
            }
            for least, most in SIZES_ML
            if (own := [row for row in sick if least <= row["tumour_ml"] < most])
        ],
        "healthy": len(well),
        "false_lesions_a_healthy_scan": mean([float(row["false_lesions"]) for row in well]),
        "dice_organ_healthy": mean([row["dice_organ"] for row in well]),
        "auroc": [round(area, 3), round(float(low), 3), round(float(high), 3)],
    }


def mean(values: Sequence[float]) -> float | None:
    """Return the rounded mean; None without values."""
    return round(float(np.mean(values)), 4) if values else None


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", choices=["validation", "test"], default="validation")
    parser.add_argument("--model", default="qiu2024-small")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    model, console = find_model(arguments.model), Console(width=160)
    scans = [*ill(arguments.data, arguments.part), *healthy(arguments.data, arguments.part)]
    measured = [measure(*scan, arguments.model) for scan in track(scans, description="patients", transient=True)]
    rows = [row for row, _ in measured]
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*("–" if value is None else str(value) for value in row.values()))
    console.print(table)
    summary = summarise(rows, [found for _, found in measured])
    console.print(summary)
    if arguments.out is not None:
        about = {
            "model": model.name,
            "part": arguments.part,
            "thresholds": {"tumour": model.tumour_threshold, "least_tumour_score": model.least_tumour_score},
            "machine": platform.processor() or platform.machine(),
            "torch": torch.__version__,
        }
        with written_whole(arguments.out) as temporary:
            temporary.write_text(json.dumps({**about, **summary, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
