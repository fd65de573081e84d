"""Compare the evaluation with MONAI and nnU-Net in speed, and with second implementations in its numbers.

    python benchmarks/evaluation.py PREDICTIONS_FOLDER --out docs/results/evaluation.json

PREDICTIONS_FOLDER contains `reference` and one folder per method. There are three parts, all in the same run:

1. Every case of every method is also measured with MONAI (voxel surfaces) and the package surface-distance (surfels);
   the largest differences are reported.
2. Time for one method's folder: pancascade (all metrics), nnU-Net (Dice and IoU, if nnunetv2 is installed), MONAI
   (Dice, HD95, average surface distance, NSD).
3. Time and peak memory for one pair of 512 × 512 × 240 voxels with all metrics, in a separate process.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from pancascade.evaluation import Method, Protocol, case_values, evaluate
from pancascade.imaging.volume import Box

TOLERANCE_MM = 2.0
LARGE = (512, 512, 240)
LARGE_SPACING_MM = (0.8, 0.8, 1.0)


def read_pair(prediction: Path, reference: Path) -> tuple[NDArray[Any], NDArray[Any], list[float]]:
    """Return two masks as nibabel reads them, and the spacing."""
    one, other = nib.load(prediction), nib.load(reference)
    spacing = [float(mm) for mm in other.header.get_zooms()]  # type: ignore[attr-defined]
    return np.asanyarray(one.dataobj) > 0, np.asanyarray(other.dataobj) > 0, spacing  # type: ignore[attr-defined]


def with_monai(prediction: NDArray[Any], reference: NDArray[Any], spacing: list[float]) -> dict[str, float]:
    """Return Dice, HD95, average surface distance and NSD of voxel surfaces."""
    import torch
    from monai.metrics import (
        compute_average_surface_distance,
        compute_dice,
        compute_hausdorff_distance,
        compute_surface_dice,
    )

    one, other = (torch.from_numpy(mask)[None, None] for mask in (prediction, reference))
    distance: dict[str, Any] = {"include_background": True, "spacing": spacing}
    return {
        "dice": compute_dice(one, other).item(),
        "hd95_mm": compute_hausdorff_distance(one, other, percentile=95, **distance).item(),
        "assd_mm": compute_average_surface_distance(one, other, symmetric=True, **distance).item(),
        "nsd_2mm": compute_surface_dice(one, other, [TOLERANCE_MM], **distance).item(),
    }


def with_surface_distance(prediction: NDArray[Any], reference: NDArray[Any], spacing: list[float]) -> dict[str, float]:
    """Return Dice, HD95 and NSD of surface elements."""
    import surface_distance

    distances = surface_distance.compute_surface_distances(reference, prediction, spacing)
    return {
        "dice": surface_distance.compute_dice_coefficient(reference, prediction),
        "hd95_mm": surface_distance.compute_robust_hausdorff(distances, 95),
        "nsd_2mm": surface_distance.compute_surface_dice_at_tolerance(distances, TOLERANCE_MM),
    }


def compare_numbers(root: Path, methods: list[str], workers: int) -> dict[str, Any]:
    """Return the largest difference in each metric over all cases and methods, by peer."""
    peers: dict[str, tuple[str, Callable[..., dict[str, float]]]] = {
        "MONAI (voxel surfaces)": ("voxel", with_monai),
        "surface-distance (surfels)": ("surfel", with_surface_distance),
    }
    found: dict[str, Any] = {}
    for title, (surface, measure) in peers.items():
        protocol = Protocol.model_validate({"surface": surface, "labels": {"pancreas": (1,)}})
        ours = evaluate(
            [Method(name, root / name) for name in methods], root / "reference", protocol=protocol, workers=workers
        )
        largest: dict[str, float] = {}
        pairs = 0
        for evaluation in ours:
            for case in track(evaluation.cases, description=f"{title}, {evaluation.method}", transient=True):
                prediction, reference, spacing = read_pair(Path(case.prediction or ""), Path(case.reference))
                if not (prediction.any() and reference.any()):
                    continue
                box = Box.around(prediction | reference).expand(2).clip(prediction.shape)  # type: ignore[union-attr]
                theirs = measure(prediction[box.slices], reference[box.slices], spacing)
                values = case_values(case, "pancreas", protocol)
                pairs += 1
                for metric, value in theirs.items():
                    largest[metric] = max(largest.get(metric, 0.0), abs(values[metric] - value))
        found[title] = {"pairs": pairs, "largest_difference": largest}
    return found


def time_folder(root: Path, method: str, workers: int) -> dict[str, float]:
    """Return the seconds for the folder of one method."""
    seconds = {}
    started = time.perf_counter()
    evaluate([Method(method, root / method)], root / "reference", protocol=Protocol(), workers=workers)
    seconds["pancascade, all metrics"] = time.perf_counter() - started
    started = time.perf_counter()
    for path in track(sorted((root / method).glob("*.nii.gz")), description="MONAI", transient=True):
        with_monai(*read_pair(path, root / "reference" / path.name))
    seconds["MONAI, four metrics, one process"] = time.perf_counter() - started
    try:
        from nnunetv2.evaluation.evaluate_predictions import compute_metrics_on_folder
        from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
    except ImportError:
        return seconds
    started = time.perf_counter()
    compute_metrics_on_folder(
        str(root / "reference"), str(root / method), None, SimpleITKIO(), ".nii.gz", [1], num_processes=workers
    )
    seconds["nnU-Net, Dice and IoU only"] = time.perf_counter() - started
    return seconds


def write_large_pair(folder: Path) -> tuple[Path, Path]:
    """Return a large pair of organ-like masks: tubes of 70 mL with false positives in a far corner."""
    grid = np.meshgrid(*(np.arange(n) * mm for n, mm in zip(LARGE, LARGE_SPACING_MM, strict=True)), indexing="ij")
    paths = []
    for name, shift_mm in (("reference", 0.0), ("prediction", 2.0)):
        x, y, z = (axis.astype(np.float32) for axis in grid)
        tube = (y - 200 - 25 * np.sin(x / 25)) ** 2 + (z - 120 - shift_mm - 10 * np.cos(x / 30)) ** 2 < 14**2
        mask = (tube & (x > 120) & (x < 250)).astype(np.uint8)
        if name == "prediction":
            mask[480:500, 470:500, 225:235] = 1
        paths.append(folder / f"{name}.nii.gz")
        nib.save(nib.Nifti1Image(mask, np.diag([*LARGE_SPACING_MM, 1.0])), paths[-1])
    return paths[1], paths[0]


RUN_AND_TELL_PEAK = """
import sys
from pancascade.cli.app import main
try:
    main()
finally:
    status = open("/proc/self/status").read()
    print("PEAK_KB", status.split("VmHWM:")[1].split()[0])
"""


def time_large_pair() -> dict[str, Any]:
    """Return wall time and peak memory of the command line on the large pair, and the time of MONAI's four metrics."""
    with tempfile.TemporaryDirectory() as folder:
        prediction, reference = write_large_pair(Path(folder))
        started = time.perf_counter()
        command = [sys.executable, "-c", RUN_AND_TELL_PEAK, "evaluate", str(prediction), str(reference)]
        reported = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        seconds = time.perf_counter() - started
        peak_mb = int(reported.split("PEAK_KB")[1]) / 1024
        started = time.perf_counter()
        with_monai(*read_pair(prediction, reference))
        return {"pancascade_s": seconds, "pancascade_peak_mb": peak_mb, "monai_s": time.perf_counter() - started}


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with `reference` and one folder per method")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    # The package surface-distance uses names that SciPy will remove.
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", category=FutureWarning, module="monai")
    methods = sorted(p.name for p in arguments.data.iterdir() if p.is_dir() and p.name != "reference")
    large = time_large_pair()
    folder = time_folder(arguments.data, methods[0], arguments.workers)
    numbers = compare_numbers(arguments.data, methods, arguments.workers)
    console = Console(width=140)
    table = Table("one pair of 512 × 512 × 240, all metrics", "seconds", "peak MB")
    table.add_row(
        "pancascade evaluate, start to end", f"{large['pancascade_s']:.2f}", f"{large['pancascade_peak_mb']:.0f}"
    )
    table.add_row("MONAI, four metrics, files read, libraries loaded", f"{large['monai_s']:.2f}", "")
    console.print(table)
    table = Table(f"folder {methods[0]}, {arguments.workers} processes", "seconds")
    for name, seconds in folder.items():
        table.add_row(name, f"{seconds:.1f}")
    console.print(table)
    for name, row in numbers.items():
        table = Table(f"{name}, {row['pairs']} pairs", "largest difference")
        for metric, difference in row["largest_difference"].items():
            table.add_row(metric, f"{difference:.1e}")
        console.print(table)
    if arguments.out is not None:
        machine = {"machine": platform.processor() or platform.machine(), "python": platform.python_version()}
        result = {"methods": methods, **machine, "large_pair": large, "folder_s": folder, "numbers": numbers}
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
