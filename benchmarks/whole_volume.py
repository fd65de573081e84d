"""A model on whole CT scans with a reference: Dice, false slices, seconds, peak memory.

    python benchmarks/whole_volume.py SCAN REFERENCE --model qiu2024-small --out result.json

Every variant runs in a process of its own, so that peak memory is its own: the model as shipped, without
consistency along the body, and with its first step alone.
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
import torch
from rich.console import Console
from rich.table import Table

from pancascade.inference import find_model, segment
from pancascade.inference.models import Model
from pancascade.io import read_volume
from pancascade.labels import Label
from pancascade.metrics import confusion


def variants(model: Model) -> dict[str, Model]:
    """The model, and what it is without its parts."""
    apart = tuple(step.model_copy(update={"consistent": False}) for step in model.steps)
    found = {"as shipped": model, "no consistency along the body": model.model_copy(update={"steps": apart})}
    if len(model.steps) > 1:
        found["first step alone"] = model.model_copy(update={"steps": model.steps[:1]})
    return found


def measure(scan: Path, reference: Path, model: Path) -> dict[str, Any]:
    """Segment and compare; the reference's ids are 1 for the pancreas and 2 for tumour, if any."""
    started = time.perf_counter()
    found = segment(scan, model=str(model))
    seconds = time.perf_counter() - started
    true = read_volume(reference).voxels
    organ, true_organ = found.mask.voxels > 0, true > 0
    slices = organ.any(axis=(0, 1)), true_organ.any(axis=(0, 1))
    row = {
        "dice_pancreas_with_tumour": confusion(organ, true_organ).dice,
        "dice_pancreas_label_only": confusion(found.mask.voxels == Label.PANCREAS, true == 1).dice,
        "sensitivity": confusion(organ, true_organ).sensitivity,
        "precision": confusion(organ, true_organ).precision,
        "false_slices": int(np.count_nonzero(slices[0] & ~slices[1])),
        "missed_slices": int(np.count_nonzero(slices[1] & ~slices[0])),
        "tumour_ml": float(np.count_nonzero(found.mask.voxels == Label.TUMOUR) * found.mask.voxel_volume_ml),
        "seconds": seconds,
        "peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "times_s": found.times_s,
    }
    if (true == Label.TUMOUR).any():
        row["dice_tumour"] = confusion(found.mask.voxels == Label.TUMOUR, true == Label.TUMOUR).dice
    return row


def main() -> None:
    """Run every variant, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scan", type=Path)
    parser.add_argument("reference", type=Path)
    parser.add_argument("--model", default="qiu2024-small")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        json.dump(measure(arguments.scan, arguments.reference, Path(arguments.model)), sys.stdout)
        return
    rows = {}
    for name, model in variants(find_model(arguments.model)).items():
        rows[name] = run_apart(model, arguments.scan, arguments.reference)
    columns = list(next(iter(rows.values())))[:-1]
    table = Table("variant", *columns)
    for name, row in rows.items():
        table.add_row(name, *(f"{row.get(column, float('nan')):.3f}" for column in columns))
    Console(width=200).print(table)
    if arguments.out is not None:
        about = {"scan": arguments.scan.name, "model": arguments.model, "torch": torch.__version__}
        machine = {"machine": platform.machine(), "cores": os.cpu_count(), "load_average": os.getloadavg()}
        arguments.out.write_text(json.dumps({**about, **machine, "variants": rows}, indent=1))


def run_apart(model: Model, scan: Path, reference: Path) -> dict[str, Any]:
    """Measure a variant in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        description = json.loads(model.model_dump_json(exclude={"folder"}))
        for step in description["steps"]:
            step["weights"] = str(model.folder.resolve() / step["weights"])
        path = Path(folder) / "model.json"
        path.write_text(json.dumps(description))
        command = [sys.executable, __file__, str(scan), str(reference), "--model", str(path), "--one"]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
