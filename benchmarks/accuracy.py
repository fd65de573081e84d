"""Accuracy of trained checkpoints on the slices of held-out patients, side by side.

    python benchmarks/accuracy.py nih_slices --data DATA cascade=RUN/best.safetensors unet=RUN2/best.safetensors

Every slice is predicted on its own grid. Means are over the slices that show the target (the 2-D papers' protocol);
intervals are 95 % bootstrap intervals over patients; the difference to the last checkpoint is paired.
"""

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from pancascade.checkpoint import load_checkpoint
from pancascade.datasets import Case, cases_of, read_split, region_folder, slice_folder
from pancascade.inference.engine import SliceEngine
from pancascade.labels import Label
from pancascade.metrics import confusion, patient_bootstrap
from pancascade.postprocessing import decide
from pancascade.preprocessing import Window
from pancascade.training.recipe import recipes_folder

ORGAN = (Label.PANCREAS, Label.TUMOUR)
METRICS = ("dice", "iou", "sensitivity", "specificity", "precision")


def read_cases(name: str, data: Path, part: str) -> list[Case]:
    """Cases of a part of the fixed split."""
    split = read_split(recipes_folder() / "splits" / f"{name}.json")
    if name == "nih_slices":
        cases = slice_folder(data / name, window=Window(lower_hu=0, upper_hu=255), flip_rows=True)
    else:
        cases = region_folder(data / name)
    return cases_of(cases, split[part])  # type: ignore[index]


def predict(engine: SliceEngine, cases: list[Case], title: str) -> list[dict[str, Any]]:
    """One row for each slice: patient, and the counts for organ and tumour."""
    rows = []
    for case in track(cases, description=title, transient=True):
        for axial in case.read_slices():
            labels = decide(engine.run_slice(axial.hu, axial.spacing_mm)[None])[0].numpy()
            row: dict[str, Any] = {"slice": axial.name, "patient": axial.patient}
            for target, wanted in (("pancreas", ORGAN), ("tumour", (Label.TUMOUR,))):
                row[target] = count(labels, axial.labels, wanted)
            rows.append(row)
    return rows


def count(labels: NDArray[np.uint8], reference: NDArray[np.uint8], wanted: tuple[Label, ...]) -> dict[str, float]:
    """Metrics of a slice that shows the target; what was marked in one that does not."""
    true, found = np.isin(reference, wanted), np.isin(labels, wanted)
    if not true.any():
        return {"marked_without_target": float(found.sum())}
    counts = confusion(found, true)
    overlap = {"tp": counts.true_positives, "fp": counts.false_positives, "fn": counts.false_negatives}
    return {metric: float(getattr(counts, metric)) for metric in METRICS} | overlap


def summarise(rows: list[dict[str, Any]], target: str) -> dict[str, Any]:
    """Means with intervals over the slices with target, and the share of the others that stayed clean."""
    shown = [row for row in rows if "dice" in row[target]]
    patients = [row["patient"] for row in shown]
    summary: dict[str, Any] = {"slices": len(shown), "patients": len(set(patients))}
    for metric in METRICS:
        values = [row[target][metric] for row in shown]
        summary[metric] = patient_bootstrap([0.0 if np.isnan(v) else v for v in values], patients)._asdict()
    summary["pooled_dice"] = pooled(shown, target)
    by_patient = [pooled([row for row in shown if row["patient"] == name], target) for name in sorted(set(patients))]
    summary["patient_dice"] = {"mean": float(np.mean(by_patient)), "min": min(by_patient), "max": max(by_patient)}
    empty = [row[target]["marked_without_target"] for row in rows if "dice" not in row[target]]
    summary["slices_without_target"] = len(empty)
    summary["clean_share"] = float(np.mean([marked == 0 for marked in empty])) if empty else None
    return summary


def pooled(rows: list[dict[str, Any]], target: str) -> float:
    """Dice of all pixels of the slices with target taken together."""
    tp, fp, fn = (sum(row[target][count] for row in rows) for count in ("tp", "fp", "fn"))
    return 2 * tp / (2 * tp + fp + fn)


def paired(one: list[dict[str, Any]], other: list[dict[str, Any]], target: str) -> dict[str, float]:
    """Mean difference in Dice over the same slices, with its interval."""
    pairs = [(a, b) for a, b in zip(one, other, strict=True) if "dice" in a[target]]
    differences = [a[target]["dice"] - b[target]["dice"] for a, b in pairs]
    return patient_bootstrap(differences, [a["patient"] for a, _ in pairs])._asdict()


def main() -> None:
    """Predict, count, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", choices=["nih_slices", "pdac_roi"])
    parser.add_argument("checkpoints", nargs="+", metavar="NAME=CHECKPOINT")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", choices=["validation", "test"], default="test")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    cases = read_cases(arguments.dataset, arguments.data, arguments.part)
    targets = ["pancreas"] if arguments.dataset == "nih_slices" else ["pancreas", "tumour"]
    results: dict[str, Any] = {}
    rows: dict[str, list[dict[str, Any]]] = {}
    for entry in arguments.checkpoints:
        name, path = entry.split("=", 1)
        cascade, description = load_checkpoint(Path(path))
        rows[name] = predict(SliceEngine(cascade, description.canvas, torch.device("cpu")), cases, name)
        results[name] = {target: summarise(rows[name], target) for target in targets}
        results[name]["parameters"] = sum(p.numel() for p in cascade.parameters())
    reference = list(rows)[-1]
    for name in list(rows)[:-1]:
        results[name]["dice_minus_last"] = {t: paired(rows[name], rows[reference], t) for t in targets}
    show(results, targets, reference)
    if arguments.out is not None:
        machine = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__}
        protocol = "mean over slices with target, native grid; 95 % bootstrap over patients, 10,000 resamples, seed 0"
        about = {"dataset": arguments.dataset, "part": arguments.part, "protocol": protocol, **machine}
        arguments.out.write_text(json.dumps({**about, "results": results, "slices": rows}, indent=1))


def show(results: dict[str, Any], targets: list[str], reference: str) -> None:
    """Print the table."""
    table = Table(
        "model", "target", "parameters", "slices", *METRICS, "pooled Dice", "clean slices", f"Dice − {reference}"
    )
    for name, result in results.items():
        for target in targets:
            summary = result[target]
            cells = [f"{summary[m]['mean']:.4f} [{summary[m]['low']:.3f}, {summary[m]['high']:.3f}]" for m in METRICS]
            clean = "" if summary["clean_share"] is None else f"{summary['clean_share']:.3f}"
            gain = result.get("dice_minus_last", {}).get(target)
            gained = "" if gain is None else f"{gain['mean']:+.4f} [{gain['low']:+.3f}, {gain['high']:+.3f}]"
            table.add_row(
                name,
                target,
                f"{result['parameters']:,}",
                str(summary["slices"]),
                *cells,
                f"{summary['pooled_dice']:.4f}",
                clean,
                gained,
            )
    Console(width=220).print(table)


if __name__ == "__main__":
    main()
