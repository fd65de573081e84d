"""Measure the accuracy of trained checkpoints on the slices of held-out patients, side by side.

    python benchmarks/accuracy.py nih_slices --data DATA cascade=RUN/best.safetensors unet=RUN2/best.safetensors
    python benchmarks/accuracy.py curvas_slices --data DATA --part validation cascade=RUN/best.safetensors

Every slice is predicted as in `pancascade predict`, on its own grid. Aggregations, intervals and tests are those of
`pancascade evaluate`. If a checkpoint is a cascade, its errors are attributed to its stages. For slices without target,
the share of slices without marks is counted, and the marked area in the others. `curvas_slices` have no part ``test``:
their scans are held out elsewhere.
"""

import argparse
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from pancascade.data.readers import Case, region_folder, slice_folder
from pancascade.data.splits.splits import cases_of, read_split
from pancascade.evaluation import (
    AGGREGATIONS,
    CaseRecord,
    Evaluation,
    Protocol,
    compare,
    slice_record,
    summarise,
    summarise_attribution,
)
from pancascade.evaluation.localization import box_iou_table
from pancascade.evaluation.tables import summary_table
from pancascade.evaluation.writing import plain
from pancascade.imaging.postprocessing import decide
from pancascade.imaging.preprocessing import Window
from pancascade.inference.prediction import localization_rows
from pancascade.inference.prediction.slice_pass import slice_probabilities
from pancascade.inference.prediction.stage_errors import attribution_rows
from pancascade.inference.runners.slice_runner import SliceRunner
from pancascade.inference.runners.torch_runners import load_runner
from pancascade.labels import HelperOrgan, Label
from pancascade.methods.checkpoint import count_parameters
from pancascade.metrics import Confusion, confusion
from pancascade.training.recipe import recipes_folder

TARGETS = {"pancreas": (Label.PANCREAS, Label.TUMOUR), "tumour": (Label.TUMOUR,)}
METRICS = ("dice", "iou", "sensitivity", "specificity", "precision")
DATASETS = {"nih_slices": ["pancreas"], "curvas_slices": ["pancreas"], "pdac_roi": ["pancreas", "tumour"]}
CURVAS_VALUES: dict[int, Label | HelperOrgan] = {1: Label.PANCREAS, 2: HelperOrgan.KIDNEYS, 3: HelperOrgan.LIVER}
CLEAN_CM2 = 0.5
"""A slice without target is clean if the marked area is smaller."""
PROTOCOL = Protocol(name="slices", headline="slices_with_target", metrics=METRICS)


def read_cases(name: str, data: Path, part: str) -> list[Case]:
    """Return the cases of a part of the fixed split."""
    split = read_split(recipes_folder() / "splits" / f"{name}.json")
    if name == "pdac_roi":
        cases = region_folder(data / name)
    else:
        values = CURVAS_VALUES if name == "curvas_slices" else None
        window = Window(lower_hu=0, upper_hu=255)
        cases = slice_folder(data / name, window=window, flip_rows=True, mask_values=values)
    return cases_of(cases, split[part])  # type: ignore[index]


def predict(
    runner: SliceRunner, cases: list[Case], targets: list[str], title: str
) -> tuple[list[CaseRecord], dict[str, list[float]]]:
    """Return one record per patient, and by target the marked cm² in each slice without it."""
    counts: dict[str, dict[str, list[Confusion]]] = {}
    false_cm2: dict[str, list[float]] = {target: [] for target in targets}
    assumed_mm = runner.canvas.assumed_spacing_mm
    stacks = ((None, case.read_slices()) for case in track(cases, description=title, transient=True))
    for _, axial, probabilities in slice_probabilities(runner, stacks):
        labels = decide(probabilities[None])[0]
        mine = counts.setdefault(axial.patient, {target: [] for target in targets})
        row_mm, column_mm = axial.spacing_mm or (assumed_mm, assumed_mm)
        for target in targets:
            wanted = TARGETS[target]
            counted = confusion(np.isin(labels, wanted), np.isin(axial.labels, wanted))
            mine[target].append(counted)
            if not np.isin(axial.labels, wanted).any():
                false_cm2[target].append(counted.false_positives * row_mm * column_mm / 100)
    return [slice_record(patient, found) for patient, found in sorted(counts.items())], false_cm2


def without_target(false_cm2: Sequence[float]) -> dict[str, Any]:
    """Return, for the slices without target, their number, the share of clean ones, and the mean marked cm²."""
    if not false_cm2:
        return {"slices": 0, "clean_share": None, "mean_cm2": None}
    clean = float(np.mean(np.array(false_cm2) < CLEAN_CM2))
    return {"slices": len(false_cm2), "clean_share": round(clean, 4), "mean_cm2": round(float(np.mean(false_cm2)), 3)}


def main() -> None:
    """Predict the slices, count, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", choices=list(DATASETS))
    parser.add_argument("checkpoints", nargs="+", metavar="NAME=CHECKPOINT")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", choices=["validation", "test"], default="test")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    cases = read_cases(arguments.dataset, arguments.data, arguments.part)
    targets = DATASETS[arguments.dataset]
    evaluations: list[Evaluation] = []
    more: dict[str, dict[str, Any]] = {}
    for entry in arguments.checkpoints:
        name, path = entry.split("=", 1)
        runner = load_runner(Path(path), torch.device("cpu"))
        if not isinstance(runner, SliceRunner):
            raise SystemExit(f"{path}: works on volumes; this benchmark is for slices.")
        cascade = runner.cascade
        records, false_cm2 = predict(runner, cases, targets, name)
        evaluations.append(Evaluation(name, PROTOCOL, tuple(records), ()))
        more[name] = {
            "parameters": count_parameters(Path(path)),
            "without_target": {target: without_target(false_cm2[target]) for target in targets},
        }
        if cascade.locates:
            rows = attribution_rows(Path(path), cases)[cascade.labels[-1].title]
            more[name]["by_stage"] = asdict(summarise_attribution(rows))
            more[name]["stage_1"] = {
                k: asdict(v) for k, v in box_iou_table(localization_rows(Path(path), cases)).items()
            }
    result = summarise_all(evaluations, targets, more)
    if arguments.out is not None:
        machine = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__}
        about = {"dataset": arguments.dataset, "part": arguments.part, "protocol": PROTOCOL.sentence(), **machine}
        arguments.out.write_text(json.dumps(plain({**about, **result}), indent=1) + "\n")


def summarise_all(evaluations: list[Evaluation], targets: list[str], more: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Print the tables and return the content of the file."""
    console = Console(width=200)
    summaries = [summarise(evaluation.cases, PROTOCOL, targets=targets) for evaluation in evaluations]
    for target in targets:
        for aggregation in AGGREGATIONS:
            text = summary_table(evaluations, summaries, target=target, aggregation=aggregation, metrics=METRICS)
            table = Table(*text.header, title=text.caption, title_justify="left")
            for row in text.rows:
                table.add_row(*row)
            console.print(table)
    pairs = []
    if len(evaluations) > 1:
        for entry in compare(evaluations, targets=targets).metrics:
            pairs += [{"target": entry.target, "metric": entry.metric, **asdict(pair)} for pair in entry.pairs]
        for pair in (pair for pair in pairs if pair["metric"] == "dice"):
            mean, low, high = pair["mean_difference"]
            console.print(
                f"{pair['target']}: {pair['first']} − {pair['second']}, mean over patients "
                f"{mean:+.4f} [{low:+.4f}, {high:+.4f}], Holm p {pair['holm_p']:.3g}"
            )
    for name, extra in more.items():
        console.print(name, extra)
    methods = {
        evaluation.method: {
            **more[evaluation.method],
            "summary": {
                target: {
                    aggregation: {metric: asdict(statistic) for metric, statistic in metrics.items()}
                    for aggregation, metrics in aggregations.items()
                }
                for target, aggregations in summary.items()
            },
            "counts": {case.case: {t: case.targets[t].slices for t in targets} for case in evaluation.cases},
        }
        for evaluation, summary in zip(evaluations, summaries, strict=True)
    }
    return {"methods": methods, "pairs": pairs}


if __name__ == "__main__":
    main()
