"""Measure a model on whole CT scans with references: accuracy, confidence, time, memory. Also for your own data sets.

    python benchmarks/whole_volume.py SCANS REFERENCES --label 7 --model qiu2024-small --out result.json

SCANS and REFERENCES are folders whose files are paired by name, or two files. `--label` gives the values of the
references that are pancreas (repeatable), `--tumour-label` those that are tumour; without both they are 1 and 2. The
pancreas is compared together with its tumour. Every scan is segmented in a separate process, so that its peak memory is
its own. A case that fails gets a line and does not stop the others. `--variants` repeats the run without consistency
along the body, and with only the model's first step.
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
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from pancascade.data.readers.scan_files import read_values
from pancascade.errors import DataError, PancascadeError
from pancascade.evaluation.pairing import pair
from pancascade.imaging.volume import Box, reorient
from pancascade.inference.models.known_models import find_model
from pancascade.inference.models.model import Model
from pancascade.labels import Label
from pancascade.metrics import confusion, surface_distances
from pancascade.results.result import current_versions, peak_memory_gb
from pancascade.segmentation import Segmentation, segment

Row = dict[str, Any]

COLUMNS = {
    "dice": "Dice",
    "sensitivity": "sensitivity",
    "precision": "precision",
    "above_ml": "mL above",
    "below_ml": "mL below",
    "volume_error_ml": "volume error mL",
    "hd95_mm": "HD95 mm",
    "dice_tumour": "Dice tumour",
    "confidence": "confidence",
    "seconds": "s",
    "peak_memory_gb": "GB",
}
ONE = "--one"


def variants(model: Model) -> dict[str, Model]:
    """Return the model, and the model without its parts."""
    apart = tuple(step.model_copy(update={"smooth_along_z": False}) for step in model.steps)
    found = {"as shipped": model, "no consistency along the body": model.model_copy(update={"steps": apart})}
    if len(model.steps) > 1:
        found["first step alone"] = model.model_copy(update={"steps": model.steps[:1]})
    return found


def measure(scan: Path, reference: Path, model: str, labels: Sequence[int], tumour_labels: Sequence[int]) -> Row:
    """Segment a scan and compare it with its reference.

    Args:
        scan: CT.
        reference: Label map on its grid.
        model: Name or file.
        labels: Values of pancreas in the reference.
        tumour_labels: Values of tumour in the reference.
    """
    started = time.perf_counter()
    found = segment(scan, model=model)
    row: Row = {"seconds": time.perf_counter() - started, "peak_memory_gb": peak_memory_gb(), "times_s": found.times_s}
    row["confidence"] = None if found.location is None else found.location.confidence
    row["warnings"] = [notice.code for notice in found.notices if notice.severity == "warning"]
    values = reorient(read_values(reference, found.scan), "RAS").voxels
    shown = reorient(found.mask, "RAS")
    row |= compare(shown.voxels > 0, np.isin(values, [*labels, *tumour_labels]), found, spacing_mm=shown.spacing_mm)
    if tumour_labels:
        tumour = np.isin(values, tumour_labels)
        row["tumour_ml"] = float(np.count_nonzero(shown.voxels == Label.TUMOUR) * shown.voxel_volume_ml)
        row["dice_tumour"] = confusion(shown.voxels == Label.TUMOUR, tumour).dice if tumour.any() else None
    return row


def compare(
    organ: NDArray[np.bool_], true: NDArray[np.bool_], found: Segmentation, *, spacing_mm: tuple[float, float, float]
) -> Row:
    """Compare the mask of the organ with the reference.

    Args:
        organ: (I, J, K), axes to the right, the front and the head.
        true: The same for the reference.
        found: Source of the voxel volume.
        spacing_mm: Of the axes.
    """
    voxel_ml = found.mask.voxel_volume_ml
    if not true.any():
        return {"reference": "empty", "false_positive_ml": float(np.count_nonzero(organ) * voxel_ml)}
    slices = np.flatnonzero(true.any(axis=(0, 1)))
    marked = np.count_nonzero(organ, axis=(0, 1)) * voxel_ml
    row: Row = {
        "dice": confusion(organ, true).dice,
        "sensitivity": confusion(organ, true).sensitivity,
        "precision": confusion(organ, true).precision if organ.any() else None,
        "above_ml": float(marked[slices[-1] + 1 :].sum()),
        "below_ml": float(marked[: slices[0]].sum()),
        "volume_error_ml": float((np.count_nonzero(organ) - np.count_nonzero(true)) * voxel_ml),
        "reference_ml": float(np.count_nonzero(true) * voxel_ml),
        "hd95_mm": None,
    }
    box = Box.around(organ | true)
    if organ.any() and box is not None:
        row["hd95_mm"] = surface_distances(organ[box.slices], true[box.slices], spacing_mm).hausdorff_mm(95)
    return row


def pairs_of(scans: Path, references: Path) -> tuple[dict[str, tuple[Path, Path]], dict[str, str]]:
    """Return scan and reference of each case, and the reason for cases without them.

    Raises:
        DataError: There is no pair.
    """
    if references.is_file() and scans.exists():  # one scan, perhaps a folder of DICOM files
        return {references.name.split(".")[0]: (scans, references)}, {}
    found = pair(scans, references)
    failed = {failure.case: failure.message for failure in found.failures}
    failed |= {case: "no scan of this name" for case, (_, scan) in found.masks.items() if scan is None}
    pairs = {case: (scan, truth) for case, (truth, scan) in found.masks.items() if scan is not None}
    if not pairs:
        raise DataError(f"{scans.name} and {references.name}: no scan has a reference of its name.")
    return pairs, failed


def run_all(
    pairs: dict[str, tuple[Path, Path]],
    model: Model,
    options: Sequence[str],
    *,
    workers: int,
    tell: Callable[[str, Row], None],
) -> dict[str, Row]:
    """Measure every case in a separate process; the row of a failed case contains the reason."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as pool:
        description = json.loads(model.model_dump_json(exclude={"folder"}))
        for step in description["steps"]:
            step["weights"] = str(model.folder.resolve() / step["weights"])
        path = Path(folder) / "model.json"
        path.write_text(json.dumps(description | {"card": None}))

        def run(case: str) -> tuple[str, Row]:
            row = run_apart([str(part) for part in pairs[case]] + ["--model", str(path), ONE, *options])
            tell(case, row)
            return case, row

        return dict(pool.map(run, sorted(pairs)))


def run_apart(arguments: Sequence[str]) -> Row:
    """Return the row from another process; if the process dies, its last message."""
    done = subprocess.run([sys.executable, __file__, *arguments], check=False, capture_output=True, text=True)
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        words = done.stderr.strip().splitlines()
        return {"failed": words[-1] if words else f"the process ended with code {done.returncode}"}


def summarise(rows: dict[str, Row]) -> dict[str, dict[str, float]]:
    """Return mean, median and minimum of each number, over the cases whose reference is not empty."""
    summary = {}
    for column in COLUMNS:
        values = [row[column] for row in rows.values() if "dice" in row and row.get(column) is not None]
        if values:
            summary[column] = {
                "mean": statistics.fmean(values),
                "median": statistics.median(values),
                "min": min(values),
            }
    return summary


def show(name: str, rows: dict[str, Row], console: Console) -> None:
    """Print the cases of a variant, their summary, false positives and failures."""
    columns = {key: title for key, title in COLUMNS.items() if any(row.get(key) is not None for row in rows.values())}
    table = Table("case", *columns.values(), "warnings", title=name, title_justify="left")
    for case, row in rows.items():
        if "dice" in row:
            table.add_row(case, *(spell(row.get(key)) for key in columns), " ".join(row["warnings"]))
    table.add_section()
    summary = summarise(rows)
    for kind in ("mean", "median", "min") if summary else ():
        table.add_row(kind, *(spell(summary.get(key, {}).get(kind)) for key in columns), "")
    console.print(table)
    for case, row in rows.items():
        if "false_positive_ml" in row:
            console.print(f"{case}: reference empty, {row['false_positive_ml']:.2f} mL marked")
        if "failed" in row:
            console.print(f"{case}: failed: {row['failed']}", style="yellow", soft_wrap=True, highlight=False)


def spell(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path, help="folder of CT scans, or one")
    parser.add_argument("references", type=Path, help="folder of label maps, or one")
    parser.add_argument("--label", type=int, action="append", help="value of pancreas; repeatable")
    parser.add_argument("--tumour-label", type=int, action="append", help="value of tumour; repeatable")
    parser.add_argument("--model", default="qiu2024-small", help="name or file of a model")
    parser.add_argument("--workers", type=int, default=1, help="scans at the same time; they share the cores")
    parser.add_argument("--variants", action="store_true", help="also run the model without some of its parts")
    parser.add_argument("--out", type=Path, help="JSON file of all numbers")
    parser.add_argument(ONE, action="store_true", help=argparse.SUPPRESS)
    found = parser.parse_args(arguments)
    if found.label is None and found.tumour_label is None:
        found.label, found.tumour_label = [Label.PANCREAS.value], [Label.TUMOUR.value]
    found.label, found.tumour_label = found.label or [], found.tumour_label or []
    if min([*found.label, *found.tumour_label]) < 1 or set(found.label) & set(found.tumour_label):
        parser.error("labels are values of 1 and more, and none is both pancreas and tumour")
    if found.workers < 1:
        parser.error("--workers is at least 1")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run every case, print and write the results."""
    chosen = parsed(arguments)
    if chosen.one:
        print(json.dumps(measure_one(chosen)))
        return
    console = Console(width=None if sys.stdout.isatty() else 220, markup=False)
    try:
        model = find_model(chosen.model)
        pairs, unpaired = pairs_of(chosen.scans, chosen.references)
    except PancascadeError as error:
        sys.exit(f"Error: {error}")
    options = [f"--label={value}" for value in chosen.label]
    options += [f"--tumour-label={value}" for value in chosen.tumour_label]
    results = {}
    for name, variant in (variants(model) if chosen.variants else {"as shipped": model}).items():
        rows = run_all(
            pairs,
            variant,
            options,
            workers=chosen.workers,
            tell=lambda case, row: print(case, outcome(row), flush=True),
        )
        results[name] = rows | {case: {"failed": message} for case, message in unpaired.items()}
        show(f"{model.name}, {name}", results[name], console)
    if chosen.out is not None:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(json.dumps(about(chosen, model) | {"variants": results_of(results)}, indent=1) + "\n")
        print(f"Numbers: {chosen.out}")


def measure_one(chosen: argparse.Namespace) -> Row:
    """Return the row of one case; after an error of this case the others continue."""
    try:
        return measure(chosen.scans, chosen.references, chosen.model, chosen.label, chosen.tumour_label)
    except Exception as error:
        return {"failed": str(error) if isinstance(error, PancascadeError) else f"{type(error).__name__}: {error}"}


def outcome(row: Row) -> str:
    """Return the line that is printed when a case is done."""
    if "failed" in row:
        return f"failed: {row['failed']}"
    return f"Dice {row['dice']:.3f}" if "dice" in row else f"{row['false_positive_ml']:.2f} mL, reference empty"


def about(chosen: argparse.Namespace, model: Model) -> dict[str, Any]:
    """Return machine, model, labels and versions."""
    return {
        "model": model.name,
        "labels": chosen.label,
        "tumour_labels": chosen.tumour_label,
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "workers": chosen.workers,
        "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "versions": current_versions(),
    }


def results_of(results: dict[str, dict[str, Row]]) -> dict[str, Any]:
    """Return cases and summary of each variant, for JSON."""
    return {name: {"summary": summarise(rows), "cases": rows} for name, rows in results.items()}


if __name__ == "__main__":
    main()
