"""Does the search that goes on where the pancreas is in doubt help? Slices and whole scans, damaged on purpose.

    python benchmarks/safety_net.py --data DATA --parts validation test --scans --out docs/results/safety_net.json

The model's first step finds the pancreas, once with the search (``rescue``) and once without. A slice of `nih_slices`
has no neighbours: twelve equal ones of 2.5 mm make a little volume, so that it goes the way of a scan; its middle
slice counts.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy import ndimage

from lone_slice import EQUAL_SLICES, as_volume
from pancascade.datasets import AxialSlice, Case, cases_of, read_split, slice_folder
from pancascade.engines.openvino_networks import engine_name
from pancascade.errors import PancascadeError
from pancascade.inference import find_model, locating
from pancascade.inference.doubts import doubts, location_notices
from pancascade.inference.engine import SliceEngine
from pancascade.inference.loading import load_engine
from pancascade.inference.locating import SURE
from pancascade.inference.models import Model
from pancascade.io import read_volume, require_ct, written_whole
from pancascade.location import Location
from pancascade.metrics import Resamples
from pancascade.preprocessing import Window
from pancascade.preprocessing.input_checks import check_input
from pancascade.training.recipe import recipes_folder
from pancascade.volume import Volume, reorient
from scan_damage import OF_SCANS, SAME_FOR_SLICES, Damage, as_it_is, slices_kept
from watched_search import find, measure

SCAN_SLICE_MM = 3.0
"""Thinner scans are measured on every n-th of their slices, which take an n-th of the time."""

HELD = 0.5
"""Stage 1 has missed the organ where its boxes hold less of it."""

USELESS_DICE = 0.1


def read_cases(data: Path, part: str) -> list[Case]:
    """Patients of a part of the fixed split of `nih_slices`."""
    split = read_split(recipes_folder() / "splits" / "nih_slices.json")
    cases = slice_folder(data / "nih_slices", window=Window(lower_hu=0, upper_hu=255), flip_rows=True)
    return cases_of(cases, split[part])  # type: ignore[index]


def measure_slices(
    cases: Iterable[Case], damages: dict[str, Damage], model: Model, engine: SliceEngine, *, most: int
) -> list[dict[str, Any]]:
    """A row a slice and damage."""
    rows = []
    for axial in track(evenly(cases, most=most), description="slices"):
        for name, damage in damages.items():
            scan, labels = damage(*as_volume(axial))
            middle = slice(EQUAL_SLICES // 2, EQUAL_SLICES // 2 + 1)
            row = measure(scan, labels > 0, model, engine, counted=middle)
            kept = {key: value for key, value in row.items() if not key.startswith("mask")}
            rows.append({"slice": axial.name, "patient": axial.patient, "damage": name, **kept})
    return rows


def evenly(cases: Iterable[Case], *, most: int) -> list[AxialSlice]:
    """All slices, or at most so many of each patient, evenly spaced."""
    slices: dict[str, list[AxialSlice]] = {}
    for axial in (axial for case in cases for axial in case.read_slices()):
        slices.setdefault(axial.patient, []).append(axial)
    if not most:
        return [axial for own in slices.values() for axial in own]
    return [
        own[n] for own in slices.values() for n in np.unique(np.linspace(0, len(own) - 1, most).round().astype(int))
    ]


@dataclass(frozen=True)
class Scene:
    """A whole scan and what is done to it.

    Attributes:
        name: In the tables.
        scan: Upright.
        labels: The organ; None where nobody has outlined it: the mask of the undamaged scan stands in.
        damages: By name, the undamaged scan first.
    """

    name: str
    scan: Volume
    labels: NDArray[np.uint8] | None
    damages: dict[str, Damage]


def scenes(data: Path) -> list[Scene]:
    """All whole scans: a healthy one with its reference, parts of it and of another without pancreas, the demo scan."""
    healthy = read_volume(data / "nih_volumes" / "PANCREAS_0001_ct.nii.gz")
    outlined = read_volume(data / "nih_volumes" / "PANCREAS_0001_label.nii.gz")
    scan, labels = thinned(reorient(healthy, "LPS"), (reorient(outlined, "LPS").voxels > 0).astype(np.uint8))
    slices = np.flatnonzero(labels.any(axis=(0, 1)))
    middle = round(float(ndimage.center_of_mass(labels)[2]))
    halves: dict[str, Damage] = {
        "upper half of the organ": partial(slices_kept, first=middle, last=scan.shape[2]),
        "lower half of the organ": partial(slices_kept, first=0, last=middle),
    }
    without: dict[str, Damage] = {
        "below the pancreas": partial(slices_kept, first=0, last=int(slices[0]) - 3),
        "above the pancreas": partial(slices_kept, first=int(slices[-1]) + 4, last=scan.shape[2]),
    }
    thighs = reorient(read_volume(data / "scans" / "msd_liver_0_upper_abdomen.nii.gz"), "LPS")
    demo = reorient(read_volume(data / "scans" / "pancreatic_ct_cb_001_upper_abdomen.nii.gz"), "LPS")
    damages = {**SAME_FOR_SLICES, **OF_SCANS}
    return [
        Scene("PANCREAS_0001", scan, labels, {**damages, **halves}),
        Scene("PANCREAS_0001, no pancreas", scan, labels, without),
        Scene("msd_liver_0, no pancreas", thighs, np.zeros(thighs.shape, np.uint8), {"as it is": as_it_is}),
        Scene("demo scan", demo, None, damages),
    ]


def thinned(scan: Volume, labels: NDArray[np.uint8]) -> tuple[Volume, NDArray[np.uint8]]:
    """Every n-th slice, so that they are about `SCAN_SLICE_MM` apart."""
    step = max(1, round(SCAN_SLICE_MM / scan.spacing_mm[2]))
    affine = np.array(scan.affine)
    affine[:3, 2] *= step
    return Volume(scan.voxels[:, :, ::step], affine), labels[:, :, ::step]


def measure_scans(data: Path, model: Model, engine: SliceEngine) -> list[dict[str, Any]]:
    """A row a scan and damage, with the codes that a user would see."""
    rows = []
    for scene in scenes(data):
        labels = scene.labels
        if labels is None:
            labels = find(scene.scan, model, engine, rescue=True).mask.astype(np.uint8)
        for name, damage in track(scene.damages.items(), description=scene.name):
            row = {"scan": scene.name, "damage": name}
            rows.append(row | examined(*damage(scene.scan, labels), model, engine))
    return rows


def examined(scan: Volume, labels: NDArray[np.uint8], model: Model, engine: SliceEngine) -> dict[str, Any]:
    """`measure` of a whole scan, and the codes of all notices; the refusal alone where the checks refuse it."""
    try:
        notices = [*require_ct(scan), *check_input(scan, scan_name="scan")]
    except PancascadeError as error:
        return {"refused": type(error).__name__, "sentence": str(error)}
    row = measure(scan, labels > 0, model, engine)
    mask = scan.with_voxels(row.pop("mask_with").astype(np.uint8))
    del row["mask_without"]
    notices += [*location_notices(Location.model_validate(row["location_with"])), *doubts(mask)]
    codes = [notice.code for notice in notices]
    organ_ml = float(np.count_nonzero(mask.voxels) * scan.voxel_volume_ml)
    return {"slices": scan.shape[2], "codes": codes, "organ_ml": organ_ml, **row}


def doubted(row: dict[str, Any]) -> bool:
    """Whether a user is told so, with the search on."""
    return bool(row["location_with"]["confidence"] < SURE)


def by_damage(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Slices together, by damage and in all."""
    names = list(dict.fromkeys(row["damage"] for row in rows))
    groups = {name: [row for row in rows if row["damage"] == name] for name in names}
    return {name: summary(group) for name, group in {**groups, "all": list(rows)}.items()}


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Counts and means of slices, and what the search gains in Dice with its interval over patients."""
    missed = [row["held_without"] < HELD for row in rows]
    doubtful = [doubted(row) for row in rows]
    useless = [row["dice_with"] < USELESS_DICE for row in rows]
    gains: dict[str, list[float]] = {}
    for row in rows:
        gains.setdefault(row["patient"], []).append(row["dice_with"] - row["dice_without"])
    own = np.array([np.mean(gain) for gain in gains.values()])
    resamples = Resamples.draw(list(gains), resamples=2000)
    gain = resamples.interval(float(own.mean()), [float(own[drawn].mean()) for drawn in resamples.drawn])
    return {
        "slices": len(rows),
        "missed without": sum(missed),
        "missed with": sum(row["held_with"] < HELD for row in rows),
        "dice without": float(np.mean([row["dice_without"] for row in rows])),
        "dice with": float(np.mean([row["dice_with"] for row in rows])),
        "gain over patients": tuple(gain),
        "doubtful": sum(doubtful),
        "missed and doubtful": sum(miss and doubt for miss, doubt in zip(missed, doubtful, strict=True)),
        "useless": sum(useless),
        "useless and doubtful": sum(bad and doubt for bad, doubt in zip(useless, doubtful, strict=True)),
        "held and not doubtful": sum(not miss and not doubt for miss, doubt in zip(missed, doubtful, strict=True)),
        "levels": {level: sum(row["location_with"]["level"] == level for row in rows) for level in ("usual", "wider")},
        "seconds without": float(np.mean([row["seconds_without"] for row in rows])),
        "seconds with": float(np.mean([row["seconds_with"] for row in rows])),
    }


def slice_table(summaries: dict[str, dict[str, Any]], *, title: str) -> Table:
    """A row a damage."""
    table = Table(
        "damage",
        "slices",
        "missed",
        "Dice",
        "gain",
        "doubtful",
        "doubted of missed",
        "sure of held",
        "doubted of useless",
        title=title,
    )
    for name, found in summaries.items():
        held = found["slices"] - found["missed without"]
        table.add_row(
            name,
            str(found["slices"]),
            f"{found['missed without']} → {found['missed with']}",
            f"{found['dice without']:.3f} → {found['dice with']:.3f}",
            "{:+.3f} [{:+.3f}, {:+.3f}]".format(*found["gain over patients"]),
            str(found["doubtful"]),
            f"{found['missed and doubtful']}/{found['missed without']}",
            f"{found['held and not doubtful']}/{held}",
            f"{found['useless and doubtful']}/{found['useless']}",
        )
    return table


def scan_table(rows: Sequence[dict[str, Any]]) -> Table:
    """A row a scan and damage."""
    table = Table("scan", "damage", "held", "Dice", "confidence", "level", "s", "mL", "codes")
    for row in rows:
        if "refused" in row:
            table.add_row(row["scan"], row["damage"], "", "", "", "refused", "", "", row["sentence"])
            continue
        table.add_row(
            row["scan"],
            row["damage"],
            f"{row['held_without']:.2f} → {row['held_with']:.2f}",
            f"{row['dice_without']:.3f} → {row['dice_with']:.3f}",
            f"{row['location_with']['confidence']:.2f}",
            row["location_with"]["level"],
            f"{row['seconds_without']:.1f} → {row['seconds_with']:.1f}",
            f"{row['organ_ml']:.0f}",
            " ".join(row["codes"]),
        )
    return table


def plot(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Confidence against how much of the organ stage 1 holds, a point a slice."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5))
    axes = figure.subplots()
    confidence, held = ([row["location_without"]["confidence"] for row in rows], [row["held_without"] for row in rows])
    axes.scatter(confidence, held, s=10, alpha=0.4)
    axes.axvline(SURE, linestyle="--", color="black", linewidth=1)
    axes.axhline(HELD, linestyle=":", color="black", linewidth=1)
    axes.set(xlabel="confidence of the location", ylabel="share of the organ in stage 1's boxes")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--parts", choices=["train", "validation", "test"], nargs="*", default=["validation"])
    parser.add_argument(
        "--slices", type=int, default=0, help="at most so many of each patient, evenly spaced; 0 takes all"
    )
    parser.add_argument("--scans", action="store_true", help="whole scans as well")
    parser.add_argument("--model", default="qiu2024-small")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    started, console, model = time.perf_counter(), Console(width=200), find_model(arguments.model)
    engine = load_engine(model.folder / model.steps[0].weights, torch.device("cpu"), backend="auto")
    if not isinstance(engine, SliceEngine):
        raise SystemExit(f"{arguments.model}: works on volumes; this benchmark is for slices.")
    result: dict[str, Any] = {"model": model.name, "seed of the noise": 0, "limits": limits()}
    for part in arguments.parts:
        rows = measure_slices(read_cases(arguments.data, part), SAME_FOR_SLICES, model, engine, most=arguments.slices)
        result[f"slices, {part}"] = {"by damage": by_damage(rows), "rows": [short(row) for row in rows]}
        console.print(slice_table(by_damage(rows), title=f"{part}: without the search → with it"))
        if arguments.plot is not None:
            plot(arguments.plot.with_stem(f"{arguments.plot.stem}_{part}"), rows)
    if arguments.scans:
        rows = measure_scans(arguments.data, model, engine)
        result["scans"] = [short(row) for row in rows]
        console.print(scan_table(rows))
    result |= {
        "runs on": engine_name(engine.cascade, engine.device),
        "machine": {"machine": platform.machine(), "cores": os.cpu_count(), "threads": torch.get_num_threads()},
        "torch": torch.__version__,
        "minutes": (time.perf_counter() - started) / 60,
    }
    if arguments.out is not None:
        with written_whole(arguments.out) as temporary:
            temporary.write_text(json.dumps(rounded(result)) + "\n")


def short(row: dict[str, Any]) -> dict[str, Any]:
    """A row for the file: of locations, what decides."""
    told = {"confidence", "reasons", "level"}
    return {
        key: {name: one for name, one in value.items() if name in told} if isinstance(value, dict) else value
        for key, value in row.items()
        if not key.startswith("outcome") or key == "outcome_without"
    }


def limits() -> dict[str, Any]:
    """The constants of the search that were in force."""
    return {name: value for name, value in vars(locating).items() if name.isupper() and name != "ALL_26"}


def rounded(value: Any) -> Any:
    """Plain values for JSON, floats to four digits; NaN, which JSON lacks, is null."""
    if isinstance(value, float):
        return None if np.isnan(value) else round(value, 4)
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, (list, tuple)) else value


if __name__ == "__main__":
    main()
