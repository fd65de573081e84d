"""Accuracy of trained checkpoints on the slices of held-out patients, side by side.

    python benchmarks/accuracy.py nih_slices --data DATA cascade=RUN/best.safetensors unet=RUN2/best.safetensors

Every slice is predicted on its own grid. Aggregations, intervals and tests are those of `pancascade evaluate`; where
a checkpoint is a cascade, its errors are attributed to its stages.
"""

import argparse
import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from pancascade.checkpoint import count_parameters
from pancascade.datasets import Case, cases_of, read_split, region_folder, slice_folder
from pancascade.evaluation import (
    AGGREGATIONS,
    Attribution,
    CaseRecord,
    Evaluation,
    Protocol,
    attribute,
    compare,
    slice_record,
    summarise,
    summarise_attribution,
)
from pancascade.evaluation.tables import summary_table
from pancascade.evaluation.writing import plain
from pancascade.inference.engine import SliceEngine
from pancascade.inference.loading import load_engine
from pancascade.inference.tracing import trace_slice
from pancascade.labels import Label
from pancascade.metrics import Confusion, confusion
from pancascade.postprocessing import decide
from pancascade.preprocessing import Window
from pancascade.training.recipe import recipes_folder

TARGETS = {"pancreas": (Label.PANCREAS, Label.TUMOUR), "tumour": (Label.TUMOUR,)}
METRICS = ("dice", "iou", "sensitivity", "specificity", "precision")
PROTOCOL = Protocol(name="slices", headline="slices_with_target", metrics=METRICS)


def read_cases(name: str, data: Path, part: str) -> list[Case]:
    """Cases of a part of the fixed split."""
    split = read_split(recipes_folder() / "splits" / f"{name}.json")
    if name == "nih_slices":
        cases = slice_folder(data / name, window=Window(lower_hu=0, upper_hu=255), flip_rows=True)
    else:
        cases = region_folder(data / name)
    return cases_of(cases, split[part])  # type: ignore[index]


def predict(engine: SliceEngine, cases: list[Case], targets: list[str], title: str) -> list[CaseRecord]:
    """One record a patient."""
    counts: dict[str, dict[str, list[Confusion]]] = {}
    for case in track(cases, description=title, transient=True):
        for axial in case.read_slices():
            labels = decide(engine.run_slice(axial.hu, axial.spacing_mm)[None])[0].numpy()
            mine = counts.setdefault(axial.patient, {target: [] for target in targets})
            for target in targets:
                wanted = TARGETS[target]
                mine[target].append(confusion(np.isin(labels, wanted), np.isin(axial.labels, wanted)))
    return [slice_record(patient, found) for patient, found in sorted(counts.items())]


def attribute_slices(engine: SliceEngine, cases: list[Case], title: str) -> list[Attribution]:
    """Errors of a cascade's final target by stage, slice by slice with target."""
    target = engine.cascade.labels[-1]
    wanted = TARGETS[target.title]
    rows = []
    for case in track(cases, description=f"{title}, by stage", transient=True):
        for axial in case.read_slices():
            if not np.isin(axial.labels, wanted).any():
                continue
            traced = trace_slice(engine, axial.hu, axial.labels, spacing_mm=axial.spacing_mm)
            found, bound, true = (
                np.isin(labels, wanted) for labels in (traced.labels, traced.true_box_labels, traced.reference)
            )
            row = attribute(found, bound, true, traced.covered[target], case=axial.name, patient=axial.patient)
            rows.append(row)
    return rows


def main() -> None:
    """Predict, count, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", choices=["nih_slices", "pdac_roi"])
    parser.add_argument("checkpoints", nargs="+", metavar="NAME=CHECKPOINT")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", choices=["validation", "test"], default="test")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    cases = read_cases(arguments.dataset, arguments.data, arguments.part)
    targets = ["pancreas"] if arguments.dataset == "nih_slices" else ["pancreas", "tumour"]
    evaluations: list[Evaluation] = []
    more: dict[str, dict[str, Any]] = {}
    for entry in arguments.checkpoints:
        name, path = entry.split("=", 1)
        engine = load_engine(Path(path), torch.device("cpu"))
        if not isinstance(engine, SliceEngine):
            raise SystemExit(f"{path}: works on volumes; this benchmark is for slices.")
        cascade = engine.cascade
        evaluations.append(Evaluation(name, PROTOCOL, tuple(predict(engine, cases, targets, name)), ()))
        more[name] = {"parameters": count_parameters(Path(path))}
        if cascade.locates:
            more[name]["by_stage"] = asdict(summarise_attribution(attribute_slices(engine, cases, name)))
    result = summarise_all(evaluations, targets, more)
    if arguments.out is not None:
        machine = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__}
        about = {"dataset": arguments.dataset, "part": arguments.part, "protocol": PROTOCOL.sentence(), **machine}
        arguments.out.write_text(json.dumps(plain({**about, **result}), indent=1) + "\n")


def summarise_all(evaluations: list[Evaluation], targets: list[str], more: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Print the tables; what goes into the file."""
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
