"""Train and test the four papers' systems and their baselines side by side with equal budgets.

    python benchmarks/four_systems.py --data DATA --out RUNS --epochs 20 --seeds 0
    python benchmarks/four_systems.py --data DATA --out RUNS --epochs 20 --seeds 0 --only U-Net "L-SNet 0.1"

Every row has the same patients (the fixed split of `nih_slices`), size preset, canvas, batches, epochs, augmentation,
optimiser and schedule; its losses and phases are its paper's. A finished run is not repeated, and an interrupted run
is continued. Several processes may share RUNS if they work on different rows. At the end, the table of all finished
runs is printed and written to RUNS/table.json.
"""

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from pancascade.data.readers import Case, slice_folder
from pancascade.data.splits.splits import cases_of, read_split
from pancascade.evaluation import Evaluation, Protocol, compare, slice_record, summarise, summarise_attribution
from pancascade.evaluation.writing import plain
from pancascade.files.atomic import written_whole
from pancascade.imaging.postprocessing import decide
from pancascade.imaging.preprocessing import Window
from pancascade.inference.prediction.slice_pass import slice_probabilities
from pancascade.inference.prediction.stage_errors import attribution_rows
from pancascade.inference.runners.slice_runner import SliceRunner
from pancascade.inference.runners.torch_runners import load_runner
from pancascade.methods.checkpoint import count_parameters
from pancascade.metrics import Confusion, confusion
from pancascade.training import fit
from pancascade.training.recipe import recipes_folder

PROTOCOL = Protocol(name="slices", headline="slices_with_target", metrics=("dice", "iou", "precision", "sensitivity"))

UNET = {"name": "unet", "preset": "small"}
MULTISCALE = {"name": "multiscale_unet", "preset": "small"}
FOCUSING = {"name": "focusing_net", "preset": "small"}
CROP = [96, 128]
QIU = {
    "kind": "qiu2024",
    "first": MULTISCALE,
    "first_labels": ["pancreas"],
    "second_labels": ["pancreas"],
    "first_loss": "dice_bce",
    "crop_size": CROP,
}
COARSE_TO_FINE = {
    "kind": "coarse_to_fine",
    "first": UNET,
    "second": UNET,
    "first_labels": ["pancreas"],
    "second_labels": ["pancreas"],
    "crop_size": CROP,
}
LSNET = {
    "kind": "lsnet",
    "first": {"name": "localization_net", "preset": "small"},
    "second": {"name": "resnet_unet", "preset": "small"},
    "heatmap_dice": "plain",  # as the published rows were trained
}

ROWS: dict[str, dict[str, Any]] = {
    "U-Net": {"kind": "single_stage", "network": UNET, "labels": ["pancreas"], "loss": "dice_bce"},
    "U-Net BCE": {"kind": "single_stage", "network": UNET, "labels": ["pancreas"], "loss": "bce"},
    "M": {"kind": "single_stage", "network": MULTISCALE, "labels": ["pancreas"], "loss": "dice_bce"},
    "M-P": {**QIU, "second": MULTISCALE, "handover": "crop"},
    "M-P-T": {**QIU, "second": MULTISCALE},
    "M-P-T-L": {**QIU, "second": {**FOCUSING, "options": {"localization": True, "focusing": False}}},
    "M-P-T-L-F": {**QIU, "second": FOCUSING},
    "coarse-to-fine": COARSE_TO_FINE,
    "coarse-to-fine BCE": {**COARSE_TO_FINE, "loss": "bce"},
    "L-SNet 0": {**LSNET, "gamma": 0.0},
    "L-SNet 0.1": {**LSNET, "gamma": 0.1},
    "DRS": {"kind": "dsms_unet", "network": {"name": "dsms_unet", "preset": "small", "options": {"skips": "plain"}}},
    "KCMDRS": {"kind": "dsms_unet", "network": {"name": "dsms_unet", "preset": "small", "options": {"skips": "kcm"}}},
    "DSMSC": {"kind": "dsms_unet", "network": {"name": "dsms_unet", "preset": "small", "options": {"skips": "mscm"}}},
}

REPORTED = {
    "U-Net": "Qiu NIH .7470; L-SNet .8656",
    "U-Net BCE": "DSMS .8052",
    "M": "Qiu MSD tumour .5234 (U-Net .4913)",
    "M-P": "Qiu MSD tumour .5319",
    "M-P-T": "Qiu MSD tumour .5533",
    "M-P-T-L": "Qiu MSD tumour .5651",
    "M-P-T-L-F": "Qiu MSD tumour .5924; NIH .8763",
    "coarse-to-fine": "L-SNet .8741",
    "coarse-to-fine BCE": "",
    "L-SNet 0": "L-SNet .8786",
    "L-SNet 0.1": "L-SNet .8820",
    "DRS": "DSMS .8183",
    "KCMDRS": "DSMS .8336",
    "DSMSC": "DSMS .8283",
}
"""Dice in the papers, on their own data and sizes."""


BASELINE = dict.fromkeys(("coarse-to-fine BCE", "DRS", "KCMDRS", "DSMSC"), "U-Net BCE")
"""Baseline of a row: the same network with the same kind of loss; U-Net if the row is not named."""


def phases_of(row: str, epochs: int) -> list[dict[str, Any]]:
    """Return the phases of a run.

    Qiu et al. have S 2, I 4, J 50 of about 2500 steps each. In the same proportion, a budget of about 800 steps ends S
    long before stage 1 segments anything, and in J the gradient of stage 2 prevents it: validation Dice stayed 0. So S
    has half of the epochs here, I a tenth, J the rest. Other systems have one phase.
    """
    if row in ("M-P-T", "M-P-T-L", "M-P-T-L-F"):
        separate, image = max(1, epochs // 2), max(1, epochs // 10)
        return [
            {"name": "S", "epochs": separate},
            {"name": "I", "epochs": image},
            {"name": "J", "epochs": max(1, epochs - separate - image)},
        ]
    name = {"qiu2024": "S", "coarse_to_fine": "both", "lsnet": "alternate"}.get(ROWS[row]["kind"], "train")
    return [{"name": name, "epochs": epochs}]


def recipe_of(row: str, *, seed: int, epochs: int) -> dict[str, Any]:
    """Return the recipe of a run."""
    return {
        "name": f"four_systems {row}",
        "seed": seed,
        "cascade": ROWS[row],
        "canvas": {
            "size": [160, 192],
            "spacing_mm": 1.6,
            "assumed_spacing_mm": 0.8,
            "centre": "tissue",
            "larger_slices": "cut",
            "window": {"lower_hu": 0, "upper_hu": 200},
        },
        "data": [
            {
                "reader": "slice_folder",
                "folder": "nih_slices",
                "split": "splits/nih_slices.json",
                "window": {"lower_hu": 0, "upper_hu": 255},
                "flip_rows": True,
            }
        ],
        "augmentation": {
            "rotation_degrees": 12,
            "scaling": 0.15,
            "stretching": 0.12,
            "shift_pixels": 10,
            "elastic_pixels": 3,
            "brightness": 0.08,
            "contrast": 0.2,
            "gamma": 0.25,
            "noise": 0.04,
            "blur_probability": 0.2,
        },
        "batch_size": 8,
        "precision": "bf16-mixed",
        "optimiser": {
            "kind": "adamw",
            "learning_rate": 2.0e-3,
            "weight_decay": 1.0e-2,
            "schedule": "cosine",
            "warmup_steps": 50,
            "gradient_clip": 20.0,
        },
        "phases": phases_of(row, epochs),
        "average_decay": 0.99,
    }


def run(row: str, *, seed: int, epochs: int, data: Path, out: Path) -> None:
    """Train, test and measure one row, if it is not finished; continues an interrupted run."""
    folder = folder_of(row, seed=seed, epochs=epochs, out=out)
    if (folder / "result.json").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / "four_systems.yaml"
    recipe.write_text(yaml.safe_dump(recipe_of(row, seed=seed, epochs=epochs), sort_keys=False))
    trained = fit(recipe, data, out=folder, resume=True)
    runner = load_runner(folder / "best.safetensors", torch.device("cpu"))
    if not isinstance(runner, SliceRunner):
        raise SystemExit(f"{row}: works on volumes; this benchmark is for slices.")
    counts, predictions, milliseconds = test(runner, test_cases(data))
    with written_whole(folder / "predictions.npz") as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **predictions)
    result = {
        "row": row,
        "seed": seed,
        "epochs": epochs,
        "parameters": count_parameters(folder / "best.safetensors"),
        "gmacs": gmacs(runner, test_cases(data)[0]),
        "ms_per_slice": milliseconds,
        "training_minutes": sum(epoch["seconds"] for epoch in trained.history) / 60,
        "validation_dice": max(epoch["dice"].get("pancreas", 0.0) for epoch in trained.history),
        "by_stage": by_stage(runner, folder / "best.safetensors", test_cases(data)),
        "counts": counts,
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
    }
    with written_whole(folder / "result.json") as temporary:
        temporary.write_text(json.dumps(result))


def undisturbed_minutes(history: list[dict[str, Any]]) -> float:
    """Return the minutes if every epoch were as fast as the fastest of its phase, without other work on the machine."""
    fastest: dict[str, float] = {}
    for epoch in history:
        fastest[epoch["phase"]] = min(epoch["seconds"], fastest.get(epoch["phase"], np.inf))
    return sum(fastest[epoch["phase"]] for epoch in history) / 60


def measure_again(row: str, *, seed: int, epochs: int, data: Path, out: Path) -> None:
    """Measure a finished row's milliseconds per slice and stages again, if the machine was busy the first time."""
    folder = folder_of(row, seed=seed, epochs=epochs, out=out)
    if not (folder / "result.json").is_file():
        return
    result = json.loads((folder / "result.json").read_text())
    runner = load_runner(folder / "best.safetensors", torch.device("cpu"))
    if isinstance(runner, SliceRunner):
        result["ms_per_slice"] = test(runner, test_cases(data))[2]
        result["by_stage"] = by_stage(runner, folder / "best.safetensors", test_cases(data))
    with written_whole(folder / "result.json") as temporary:
        temporary.write_text(json.dumps(result))


def folder_of(row: str, *, seed: int, epochs: int, out: Path) -> Path:
    """Return the folder of a run."""
    return out / f"{row.replace(' ', '-')}_{epochs}_{seed}"


def test_cases(data: Path) -> list[Case]:
    """Return the test patients of the fixed split."""
    cases = slice_folder(data / "nih_slices", window=Window(lower_hu=0, upper_hu=255), flip_rows=True)
    return cases_of(cases, read_split(recipes_folder() / "splits" / "nih_slices.json")["test"])


def test(
    runner: SliceRunner, cases: list[Case]
) -> tuple[dict[str, list[Confusion]], dict[str, NDArray[np.bool_]], float]:
    """Return the counts of each patient's slices, the masks, and milliseconds per slice."""
    counts: dict[str, list[Confusion]] = {}
    masks: dict[str, NDArray[np.bool_]] = {}
    stacks = [(None, case.read_slices()) for case in cases]
    started = time.perf_counter()
    found = list(slice_probabilities(runner, stacks))
    seconds = time.perf_counter() - started
    for _, axial, probabilities in found:
        labels = decide(probabilities[None])[0]
        masks[axial.name] = labels > 0
        counts.setdefault(axial.patient, []).append(confusion(labels > 0, axial.labels > 0))
    return counts, masks, 1000 * seconds / len(masks)


def by_stage(runner: SliceRunner, checkpoint: Path, cases: list[Case]) -> dict[str, float] | None:
    """Return box recall of stage 1 and Dice with the reference boxes for stage 2; None for a single network."""
    if not runner.cascade.locates:
        return None
    summary = summarise_attribution(attribution_rows(checkpoint, cases)["pancreas"])
    return {"box_recall": summary.box_recall.mean, "true_box_dice": summary.true_box_dice.mean}


def gmacs(runner: SliceRunner, case: Case) -> float:
    """Return billions of multiplications for one slice, both stages included."""
    axial = case.read_slices()[0]
    counter = FlopCounterMode(display=False)
    with counter:
        runner.run_slice(axial.hu, axial.spacing_mm)
    return counter.get_total_flops() / 2e9


def read_results(out: Path, epochs: int) -> dict[str, list[dict[str, Any]]]:
    """Return the finished runs of each row, by seed."""
    found = []
    for path in sorted(out.glob(f"*_{epochs}_*/result.json")):
        history = json.loads((path.parent / "history.json").read_text())
        found.append(json.loads(path.read_text()) | {"undisturbed_minutes": undisturbed_minutes(history)})
    return {row: [result for result in found if result["row"] == row] for row in ROWS}


def show(out: Path, epochs: int) -> None:
    """Print and write the table: slice means over all seeds, differences to U-Net over patients."""
    results = {row: runs for row, runs in read_results(out, epochs).items() if runs}
    evaluations = []
    for row, runs in results.items():
        records = [
            slice_record(f"{patient}_{run['seed']}", {"pancreas": [Confusion(*c) for c in counts]}, patient=patient)
            for run in runs
            for patient, counts in run["counts"].items()
        ]
        evaluations.append(Evaluation(row, PROTOCOL, tuple(records), ()))
    pairs = compare(evaluations, targets=["pancreas"]).metrics[0].pairs if len(evaluations) > 1 else ()
    against = {pair.second: pair.swapped() for pair in pairs if pair.first == BASELINE.get(pair.second, "U-Net")}
    against |= {pair.first: pair for pair in pairs if pair.second == BASELINE.get(pair.first, "U-Net")}
    table = Table(
        *("row", "seeds", "parameters", "GMACs", "ms/slice", "minutes", "Dice", "IoU", "precision", "recall"),
        *("Dice − baseline, patients", "box recall", "Dice, reference box", "in the papers"),
        title=f"{epochs} epochs, mean over test slices with target",
    )
    rows = []
    for evaluation in evaluations:
        runs = results[evaluation.method]
        statistics = summarise(evaluation.cases, PROTOCOL)["pancreas"]["slices_with_target"]
        cells = [statistics[metric] for metric in PROTOCOL.metrics]
        stages = runs[0].get("by_stage")
        pair = against.get(evaluation.method)
        gain = (
            ""
            if pair is None
            else f"{pair.mean_difference.mean:+.3f} [{pair.mean_difference.low:+.3f}, {pair.mean_difference.high:+.3f}]"
        )
        minutes, speed = (float(np.mean([run[key] for run in runs])) for key in ("undisturbed_minutes", "ms_per_slice"))
        table.add_row(
            evaluation.method,
            str(len(runs)),
            f"{runs[0]['parameters']:,}",
            f"{runs[0]['gmacs']:.2f}",
            f"{speed:.0f}",
            f"{minutes:.1f}",
            *(f"{cell.mean:.3f} [{cell.low:.3f}, {cell.high:.3f}]" for cell in cells),
            gain,
            *(f"{stages[key]:.3f}" if stages else "" for key in ("box_recall", "true_box_dice")),
            REPORTED[evaluation.method],
        )
        rows.append(
            {
                "row": evaluation.method,
                "seeds": [run["seed"] for run in runs],
                "parameters": runs[0]["parameters"],
                "gmacs": runs[0]["gmacs"],
                "ms_per_slice": speed,
                "undisturbed_minutes": minutes,
                "wall_minutes": float(np.mean([run["training_minutes"] for run in runs])),
                "statistics": {metric: vars(cell) for metric, cell in zip(PROTOCOL.metrics, cells, strict=True)},
                "validation_dice": [run["validation_dice"] for run in runs],
                "by_stage": stages,
                "baseline": BASELINE.get(evaluation.method, "U-Net"),
                "gain_over_baseline": None if pair is None else list(pair.mean_difference),
                "gain_p_holm": None if pair is None else pair.holm_p,
                "in_the_papers": REPORTED[evaluation.method],
            }
        )
    Console(width=240).print(table)
    result = {"protocol": PROTOCOL.sentence(), "epochs": epochs, "rows": rows}
    (out / "table.json").write_text(json.dumps(plain(result), indent=1) + "\n")


def main() -> None:
    """Run the unfinished rows, then print all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="*", choices=list(ROWS), help="rows to run; all by default, none to print only")
    parser.add_argument("--measure-again", action="store_true", help="measure speed and stages of finished rows again")
    parser.add_argument("--threads", type=int, default=1, help="of each process; run one process a core")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for seed in arguments.seeds:
        for row in ROWS if arguments.only is None else arguments.only:
            run(row, seed=seed, epochs=arguments.epochs, data=arguments.data, out=arguments.out)
            if arguments.measure_again:
                measure_again(row, seed=seed, epochs=arguments.epochs, data=arguments.data, out=arguments.out)
    show(arguments.out, arguments.epochs)


if __name__ == "__main__":
    main()
