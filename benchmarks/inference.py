"""Compare scan to mask with nnU-Net: seconds and memory, measured from outside, and the parts of the time.

    python benchmarks/inference.py SCAN [SCAN ...] --peer PYTHON --out inference.json

PYTHON is the interpreter of an environment with nnunetv2. nnU-Net's own predictor runs with its network and plans for
MSD pancreas (``3d_fullres``), one fold, no mirroring and random weights, on the CPU, on the same scan in the same run.
Every run is a separate process, including interpreter and model loading. Memory is the peak of the process with its
children, sampled ten times per second.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from pancascade.imaging.io import read_volume
from pancascade.metrics import confusion

INTERVAL_S = 0.1
ENGINES = ("auto", "torch")


def run(command: list[str]) -> dict[str, Any]:
    """Return the seconds and the peak memory of a command with all its children, in 10⁹ bytes.

    Raises:
        RuntimeError: The command failed.
    """
    with tempfile.TemporaryFile() as reported:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=reported, stderr=subprocess.STDOUT)
        peak = 0
        while process.poll() is None:
            peak = max(peak, memory_of_tree(process.pid))
            time.sleep(INTERVAL_S)
        seconds = time.perf_counter() - started
        if process.returncode != 0:
            reported.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed: {reported.read().decode()[-2000:]}")
    return {"seconds": seconds, "peak_memory_gb": peak / 1e9}


def memory_of_tree(pid: int) -> int:
    """Return the bytes of memory of a process and its descendants; shared pages count for each."""
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        try:
            pages = int(Path(f"/proc/{one}/statm").read_text().split()[1])
            waiting += [int(child) for child in Path(f"/proc/{one}/task/{one}/children").read_text().split()]
        except (OSError, ValueError):
            continue
        total += pages * os.sysconf("SC_PAGE_SIZE")
    return total


def ours(scan: Path, out: Path, *, engine: str, repeats: int) -> dict[str, Any]:
    """Return the median of several runs of the command line, as a user starts it."""
    script = Path(sys.executable).with_name("pancascade")
    command = [str(script), "segment", str(scan), "--out", str(out), "--backend", engine]
    runs = [run(command) for _ in range(repeats)]
    result = json.loads((out / "result.json").read_text())
    return {
        "seconds": statistics.median(one["seconds"] for one in runs),
        "all_seconds": [round(one["seconds"], 2) for one in runs],
        "peak_memory_gb": max(one["peak_memory_gb"] for one in runs),
        "engine": result["backend"],
        "times_s": result["times_s"],
        "pancreas_ml": result["measurements"]["pancreas_with_tumour"]["volume_ml"],
    }


PEER = """
import json, sys, os
from pathlib import Path
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

torch.set_num_threads(int(sys.argv[4]))
scan, out, folder = sys.argv[1:4]
kernels = [[1, 3, 3]] + [[3, 3, 3]] * 5
strides = [[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2]]
architecture = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "arch_kwargs": {
        "n_stages": 6, "features_per_stage": [32, 64, 128, 256, 320, 320], "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": kernels, "strides": strides, "n_conv_per_stage": [2] * 6, "n_conv_per_stage_decoder": [2] * 5,
        "conv_bias": True, "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True}, "dropout_op": None, "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True},
    },
    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
}
resample = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
plans = {
    "dataset_name": "Dataset007_Pancreas", "plans_name": "nnUNetPlans",
    "original_median_spacing_after_transp": [2.5, 0.80273402, 0.80273402],
    "original_median_shape_after_transp": [93, 512, 512], "image_reader_writer": "SimpleITKIO",
    "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2], "experiment_planner_used": "ExperimentPlanner",
    "label_manager": "LabelManager",
    "foreground_intensity_properties_per_channel": {"0": {"max": 3071.0, "mean": 80.3, "median": 86.9, "min": -998.0,
        "percentile_00_5": -96.0, "percentile_99_5": 215.0, "std": 68.0}},
    "configurations": {"3d_fullres": {
        "data_identifier": "nnUNetPlans_3d_fullres", "preprocessor_name": "DefaultPreprocessor", "batch_size": 2,
        "patch_size": [40, 224, 224], "median_image_size_in_voxels": [96.0, 512.0, 512.0],
        "spacing": [2.5, 0.80273402, 0.80273402], "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False], "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape", "resampling_fn_data_kwargs": resample,
        "resampling_fn_seg_kwargs": {**resample, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**resample, "order": 1}, "architecture": architecture,
        "batch_dice": False}},
}
dataset = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "pancreas": 1, "cancer": 2}, "numTraining": 281,
           "file_ending": ".nii.gz"}
model = Path(folder)
(model / "fold_0").mkdir(parents=True)
(model / "plans.json").write_text(json.dumps(plans))
(model / "dataset.json").write_text(json.dumps(dataset))
torch.manual_seed(0)
network = get_network_from_plans(architecture["network_class_name"], architecture["arch_kwargs"],
                                 architecture["_kw_requires_import"], 1, 3, deep_supervision=False)
torch.save({"network_weights": network.state_dict(), "trainer_name": "nnUNetTrainer",
            "init_args": {"configuration": "3d_fullres"}, "inference_allowed_mirroring_axes": None},
           model / "fold_0" / "checkpoint_final.pth")
if __name__ == "__main__":
    predictor = nnUNetPredictor(tile_step_size=0.5, use_gaussian=True, use_mirroring=False,
                                perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(folder, (0,), "checkpoint_final.pth")
    predictor.predict_from_files_sequential([[scan]], [out], save_probabilities=False, overwrite=True)
"""


def peer(scan: Path, python: Path, *, threads: int) -> dict[str, Any]:
    """Run nnU-Net's predictor once."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "peer.py"
        script.write_text(PEER)
        out = Path(folder) / "mask.nii.gz"
        found = run([str(python), str(script), str(scan.resolve()), str(out), f"{folder}/model", str(threads)])
        if not out.is_file():
            raise RuntimeError("nnU-Net wrote no mask")
        return found


def dice(out: Path, reference: Path) -> float:
    """Return the Dice of pancreas with tumour."""
    mask = read_volume(out / "segmentation.nii.gz").voxels > 0
    return confusion(mask, read_volume(reference).voxels > 0).dice


def where_the_time_goes(times_s: dict[str, float]) -> dict[str, float]:
    """Return the seconds by kind of work, summed over a model's steps."""
    kinds: dict[str, float] = {}
    for name, seconds in times_s.items():
        kind = name.rpartition(".")[2]
        kinds[kind] = kinds.get(kind, 0.0) + seconds
    return kinds


def show(rows: dict[str, dict[str, Any]]) -> None:
    """Print one table of times and memory, and one of the parts of the time."""
    console = Console(width=160)
    table = Table("scan", "what", "seconds", "peak GB", "times slower", title="scan to mask, whole processes")
    for scan, row in rows.items():
        base = row["auto"]["seconds"]
        for what in (*ENGINES, "nnunet"):
            if what in row:
                name = row[what].get("engine", "nnU-Net 3d_fullres, random weights")
                found = row[what]
                table.add_row(
                    scan,
                    name,
                    f"{found['seconds']:.1f}",
                    f"{found['peak_memory_gb']:.2f}",
                    f"{found['seconds'] / base:.1f}",
                )
    console.print(table)
    parts = Table("part", *rows, title=f"parts of the time, seconds ({next(iter(rows.values()))['auto']['engine']})")
    kinds = {scan: where_the_time_goes(row["auto"]["times_s"]) for scan, row in rows.items()}
    for kind in next(iter(kinds.values())):
        parts.add_row(kind, *(f"{found.get(kind, 0.0):.2f}" for found in kinds.values()))
    inside = [sum(found.values()) for found in kinds.values()]
    rest = [row["auto"]["all_seconds"][-1] - total for row, total in zip(rows.values(), inside, strict=True)]
    parts.add_row("start of the program, measurements, report, writing", *(f"{seconds:.2f}" for seconds in rest))
    console.print(parts)


def main() -> None:
    """Run the benchmark, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", nargs="+", type=Path)
    parser.add_argument("--peer", type=Path, help="interpreter of an environment with nnunetv2")
    parser.add_argument("--reference", type=Path, help="reference of the first scan")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows: dict[str, dict[str, Any]] = {}
    for place, scan in enumerate(arguments.scans):
        row: dict[str, Any] = {"shape": list(read_volume(scan).shape)}
        with tempfile.TemporaryDirectory() as folder:
            for engine in ENGINES:
                row[engine] = ours(scan, Path(folder), engine=engine, repeats=arguments.repeats)
                if place == 0 and arguments.reference is not None:
                    row[engine]["dice"] = dice(Path(folder), arguments.reference)
        if arguments.peer is not None:
            row["nnunet"] = peer(scan, arguments.peer, threads=arguments.threads)
        rows[scan.name] = row
    show(rows)
    if arguments.out is not None:
        about = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, load before {os.getloadavg()[1]:.1f}",
            "python": platform.python_version(),
            "numpy": np.__version__,
            "seed": 0,
        }
        arguments.out.write_text(json.dumps({**about, "scans": rows}, indent=1))


if __name__ == "__main__":
    main()
