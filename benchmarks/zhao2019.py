"""Measure the two stages of Zhao et al. 2019 as in the paper's Tables 1 and 2.

    python benchmarks/zhao2019.py overfit SCAN LABELS --pancreas 7 --out RUN
    python benchmarks/zhao2019.py regions --data DATA RUN/best.safetensors --out result.json

`overfit` trains both stages on one whole scan and measures them on the same scan. This shows that stage 1, both boxes
and the vote work and can be trained; it does not measure accuracy. `regions` measures a trained stage 2 in the
reference boxes, with margin, of the test patients of `pdac_roi`.
"""

import argparse
import csv
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from pancascade.data.readers import region_folder
from pancascade.data.sampling import load_volumes
from pancascade.data.splits.splits import Part, cases_of, read_split
from pancascade.evaluation import Protocol, slice_record, summarise
from pancascade.evaluation.writing import plain
from pancascade.files.atomic import written_whole
from pancascade.imaging.io import read_scan, read_volume, write_volume
from pancascade.imaging.postprocessing import decide
from pancascade.imaging.preprocessing import VolumeGrid, Window
from pancascade.imaging.volume import Box, reorient
from pancascade.labels import Label
from pancascade.methods.cascades import Cascade, Zhao2019
from pancascade.methods.cascades.reduction import enlarge, reduce_masks
from pancascade.methods.checkpoint import load_checkpoint
from pancascade.metrics import box_overlap, confusion
from pancascade.training import fit
from pancascade.training.recipe import recipes_folder


def overfit(scan: Path, labels: Path, *, pancreas: int, factor: int, epochs: int, out: Path) -> dict[str, Any]:
    """Train both stages on one scan, then segment it.

    Args:
        scan: Whole CT.
        labels: Label map on the same grid.
        pancreas: Value of the pancreas in the label map.
        factor: R; the paper's 4 for scans of about 1 mm, less for coarser ones.
        epochs: Epochs of each stage, one volume per epoch.
        out: Folder for the run.
    """
    out.mkdir(parents=True, exist_ok=True)
    truth = read_volume(labels)
    mask = (truth.voxels == pancreas).astype(np.uint8)
    write_volume(truth.with_voxels(mask), out / "labels.nii.gz")
    with (out / "volumes.csv").open("w", newline="") as table:
        rows = csv.writer(table)
        rows.writerow(["image", "label", "patient", "first_slice", "last_slice"])
        rows.writerow([scan.resolve(), (out / "labels.nii.gz").resolve(), "one", "", ""])
    network = {"name": "unet3d", "preset": "small"}
    readings = {"label_reduction": "middle_voxel", "enlarging": "repeat"}  # of the published result
    recipe = {
        "name": "zhao2019_overfit",
        "cascade": {"kind": "zhao2019", "first": network, "second": network, "factor": factor, **readings},
        "canvas": {"kind": "volume", "window": {"lower_hu": -100, "upper_hu": 240}},
        "data": [{"reader": "volume_list", "folder": "volumes.csv"}],
        "optimiser": {"kind": "adam", "learning_rate": 1e-2, "weight_decay": 0},
        "phases": [{"name": "first", "epochs": epochs}, {"name": "second", "epochs": epochs}],
    }
    (out / "overfit.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    fit(out / "overfit.yaml", out, out=out / "run", resume=True)
    cascade, description = load_checkpoint(out / "run" / "best.safetensors")
    if not isinstance(cascade, Zhao2019) or not isinstance(description.canvas, VolumeGrid):
        raise SystemExit(f"{out}: holds a run of another recipe. Choose another --out.")
    return measure_stages(cascade, description.canvas.window, read_upright(scan), reorient_labels(out))


def read_upright(scan: Path) -> NDArray[Any]:
    """Return Hounsfield units (I, J, K), axes to left, posterior, superior."""
    return reorient(read_scan(scan), "LPS").voxels


def reorient_labels(out: Path) -> NDArray[Any]:
    """Return the labels of the run in the same order of axes."""
    return reorient(read_volume(out / "labels.nii.gz"), "LPS").voxels


@torch.inference_mode()
def measure_stages(cascade: Zhao2019, window: Window, hu: NDArray[Any], truth: NDArray[Any]) -> dict[str, Any]:
    """Return stage 1's Dice at full resolution, recall and IoU of both boxes, Dice after the vote (Eqs. 5-7)."""
    images = torch.from_numpy(window.apply(np.ascontiguousarray(hu)))[None, None]
    located = cascade.locate(images)
    ((b1, b2),) = located.boxes
    true_box = Box.around(truth > 0)
    settings, mask = cascade.settings, torch.from_numpy(np.ascontiguousarray(truth > 0))
    coarse = located.probabilities[0, 0].numpy() >= 0.5
    first = cascade.first_map(located, truth.shape)[0, 0].numpy() >= 0.5
    reduced = reduce_masks(mask[None, None].float(), settings.factor, mode=settings.label_reduction)[0, 0]
    bound = enlarge(reduced, settings.factor, region=Box.whole(truth.shape), mode=settings.enlarging).numpy() >= 0.5
    voted = decide(cascade.segment(images, located).numpy())[0] > 0
    return {
        "stage 1 Dice on the reduced grid": confusion(coarse, reduced.numpy() > 0).dice,
        "stage 1 Dice": confusion(first, truth > 0).dice,
        "stage 1 Dice, bound of its grid": confusion(bound, truth > 0).dice,
        "stage 2 Dice in the true box": confusion(in_true_box(cascade, images, mask) > 0, truth > 0).dice,
        "final Dice": confusion(voted, truth > 0).dice,
        "B1 recall": box_overlap(b1, true_box).recall,
        "B2 recall": box_overlap(b2, true_box).recall,
        "B1 IoU": box_overlap(b1, true_box).iou,
        "B2 IoU": box_overlap(b2, true_box).iou,
    }


@torch.inference_mode()
def regions(checkpoint: Path, data: Path, *, part: Part) -> dict[str, Any]:
    """Return the Dice of stage 2 in the reference box of each patient, with mean, sd, extremes and interval."""
    cascade, description = load_checkpoint(checkpoint)
    if not isinstance(description.canvas, VolumeGrid):
        raise SystemExit(f"{checkpoint}: works on slices; benchmarks/accuracy.py measures it.")
    names = read_split(recipes_folder() / "splits" / "pdac_roi.json")[part]
    volumes = load_volumes(cases_of(region_folder(data / "pdac_roi"), names), description.canvas)
    protocol = Protocol(name="regions", headline="volumes", metrics=("dice", "iou", "precision", "sensitivity"))
    label = cascade.labels[-1]
    records = []
    for index in range(len(volumes)):
        batch = volumes.batch([index])
        truth = batch.labels.numpy()[0]
        wanted = truth == Label.TUMOUR if label == Label.TUMOUR else truth > 0
        found = in_true_box(cascade, batch.images, torch.from_numpy(wanted)) == label
        slices = [confusion(found[..., k], wanted[..., k]) for k in range(wanted.shape[2])]
        records.append(slice_record(batch.names[0], {"target": slices}, patient=volumes.patients[index]))
    numbers = summarise(records, protocol)["target"]
    return {
        "checkpoint": checkpoint.name,
        "target": label.title,
        "part": part,
        "protocol": protocol.sentence(),
        "statistics": {name: vars(numbers[name]["dice"]) for name in ("volumes", "pooled", "slices_with_target")},
        "patients": {record.patient: record.targets["target"].total.dice for record in records},
    }


def in_true_box(cascade: Cascade, images: torch.Tensor, wanted: torch.Tensor) -> NDArray[np.uint8]:
    """Return labels (I, J, K) of stage 2 alone in the reference box with margin, as in the paper's training (§2.3)."""
    if not isinstance(cascade, Zhao2019):
        raise SystemExit("The checkpoint is not a zhao2019 cascade.")
    true_box = Box.around(wanted.numpy())
    labels = np.zeros(tuple(wanted.shape), np.uint8)
    if true_box is not None:
        box = true_box.expand(cascade.settings.margin).clip(tuple(wanted.shape))
        labels[box.slices][cascade.second_probabilities(images, box)[0, 0].numpy() >= 0.5] = cascade.labels[-1]
    return labels


def show(result: dict[str, Any]) -> None:
    """Print the numbers of one result."""
    table = Table("number", "value")
    for name, value in (result.get("stages") or result["statistics"]).items():
        text = f"{value:.4f}" if isinstance(value, float) else ", ".join(f"{k} {v}" for k, v in value.items())
        table.add_row(name, text)
    Console(width=200).print(table)


def main() -> None:
    """Run one of the two commands, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ways = parser.add_subparsers(dest="way", required=True)
    one = ways.add_parser("overfit")
    one.add_argument("scan", type=Path)
    one.add_argument("labels", type=Path)
    one.add_argument("--pancreas", type=int, default=1)
    one.add_argument("--factor", type=int, default=4)
    one.add_argument("--epochs", type=int, default=150)
    one.add_argument("--out", type=Path, required=True)
    many = ways.add_parser("regions")
    many.add_argument("checkpoint", type=Path)
    many.add_argument("--data", type=Path, required=True)
    many.add_argument("--part", choices=("validation", "test"), default="test")
    many.add_argument("--out", type=Path)
    for way in (one, many):
        way.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    about = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__, "seed": 0}
    if arguments.way == "overfit":
        stages = overfit(
            arguments.scan,
            arguments.labels,
            pancreas=arguments.pancreas,
            factor=arguments.factor,
            epochs=arguments.epochs,
            out=arguments.out,
        )
        result, path = {**about, "epochs": arguments.epochs, "stages": stages}, arguments.out / "result.json"
    else:
        result = {**about, **regions(arguments.checkpoint, arguments.data, part=arguments.part)}
        path = arguments.out
    show(result)
    if path is not None:
        with written_whole(path) as temporary:
            temporary.write_text(json.dumps(plain(result), indent=1) + "\n")


if __name__ == "__main__":
    main()
