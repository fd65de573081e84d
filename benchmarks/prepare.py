"""Measure `pancascade data prepare` on many whole scans: time, memory of the workers, disk.

    python benchmarks/prepare.py SCAN LABEL --copies 40 --workers 2 --out result.json

The scans are copies of one scan. Each is shifted along the body and has its own noise, so that no two files are the
same and none compresses better than a real scan. Making the copies is not timed. The store is made in a separate
process; the peak memory is that of its largest worker.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from pancascade.imaging.io import read_volume, write_volume

_TIMED = """
import json, resource, sys, time
from pathlib import Path
from pancascade.data.preparing.prepare import prepare
from pancascade.data.readers import read_data_set
from pancascade.data.store.options import PrepareOptions

if __name__ == "__main__":
    folder, store, options, workers = sys.argv[1:]
    started = time.perf_counter()
    cases = read_data_set(Path(folder))
    done = prepare(cases, Path(store), options=PrepareOptions.model_validate_json(options), workers=int(workers))
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    again = prepare(cases, Path(store), options=PrepareOptions.model_validate_json(options), workers=int(workers))
    print(json.dumps({
        "seconds": seconds,
        "seconds_again": time.perf_counter() - started,
        "anew_again": again.anew,
        "counts": done.manifest.counts.model_dump(),
        "failures": len(done.manifest.failures),
        "peak_worker_gb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6,
        "peak_parent_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }))
"""


def make_copies(scan: Path, label: Path, folder: Path, *, copies: int) -> int:
    """Write an nnU-Net-like data set of different copies; return the uncompressed bytes of their voxels."""
    image, marked = read_volume(scan), read_volume(label)
    random = np.random.default_rng(0)
    for number in range(copies):
        shift = int(random.integers(-40, 41))
        noise = random.integers(-2, 3, image.shape, dtype=np.int16)
        hu = np.roll(image.voxels, shift, axis=2) + noise
        name = f"case{number:03d}"
        write_volume(image.with_voxels(hu), folder / "imagesTr" / f"{name}_0000.nii.gz")
        write_volume(marked.with_voxels(np.roll(marked.voxels, shift, axis=2)), folder / "labelsTr" / f"{name}.nii.gz")
    about = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "pancreas": 1}, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(about | {"numTraining": copies}))
    return copies * int(np.prod(image.shape)) * 2


def measure(folder: Path, store: Path, options: dict[str, Any], *, workers: int) -> dict[str, Any]:
    """Prepare twice in a separate process; the second time there is nothing to do."""
    script = store.with_suffix(".py")
    script.write_text(_TIMED)
    command = [sys.executable, str(script), str(folder), str(store), json.dumps(options), str(workers)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def main() -> None:
    """Make the copies, prepare them as volumes and as resampled slices, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scan", type=Path)
    parser.add_argument("label", type=Path)
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    runs: dict[str, dict[str, Any]] = {
        "volumes, native": {"kind": "volumes"},
        "slices with pancreas, 0.8 x 0.8 x 2.5 mm": {
            "kind": "slices",
            "keep": "pancreas",
            "spacing_mm": [0.8, 0.8, 2.5],
        },
        "pictures with pancreas": {"kind": "pictures", "keep": "pancreas"},
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "Dataset900"
        started = time.perf_counter()
        raw = make_copies(arguments.scan, arguments.label, folder, copies=arguments.copies)
        made_in = time.perf_counter() - started
        rows = {
            name: measure(folder, Path(temporary) / f"store{number}", options, workers=arguments.workers)
            for number, (name, options) in enumerate(runs.items())
        }
    table = Table("store", "s", "s, second run", "s per case", "peak worker GB", "disk GB", "of raw int16")
    for name, row in rows.items():
        size = row["counts"]["size_bytes"]
        numbers = (row["seconds"], row["seconds_again"], row["seconds"] / arguments.copies, row["peak_worker_gb"])
        table.add_row(name, *(f"{value:.2f}" for value in (*numbers, size / 1e9, size / raw)))
    Console(width=160).print(table)
    if arguments.out is not None:
        about = {
            "scan": arguments.scan.name,
            "copies": arguments.copies,
            "workers": arguments.workers,
            "raw_int16_bytes": raw,
            "seconds_to_make_copies": made_in,
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "load_average": os.getloadavg(),
            "note": "Other work ran on the machine if the load average is above the number of workers.",
            "peak_parent_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        }
        arguments.out.write_text(json.dumps({**about, "runs": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
