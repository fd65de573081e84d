"""Measure the similarity of scans and slices after usual changes, and of different patients.

    python benchmarks/duplicates.py --data DATA --out docs/results/duplicates.json

Data: four whole CTs, the 63 regions of `pdac_roi`, the slices of `nih_slices`. Nothing is trained here; the thresholds
of `pancascade.data.checking.duplicates` were chosen on these data.
"""

import argparse
import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from pancascade.data.checking.duplicates import SAME_SCAN, SAME_SLICE, scan_similarity, slice_similarity
from pancascade.data.checking.image_hash import image_hash, landmarks_of, picture_of, slice_hash
from pancascade.data.readers import PictureReading, read_data_set, region_folder
from pancascade.files.atomic import written_whole
from pancascade.imaging.io import read_volume
from pancascade.imaging.preprocessing import Window
from pancascade.imaging.volume import Box, Volume, crop, reorient, resample_to_spacing

WHOLE = (
    "nih_volumes/PANCREAS_0001_ct.nii.gz",
    "scans/example_ct.nii.gz",
    "scans/msd_liver_0_upper_abdomen.nii.gz",
    "scans/pancreatic_ct_cb_001_upper_abdomen.nii.gz",
)
Picture = NDArray[np.int16]


def part(volume: Volume, low: tuple[float, ...], high: tuple[float, ...]) -> Volume:
    """Return the part of a RAS scan between two shares of its extent."""
    scan_lps = reorient(volume, "RAS")
    start, stop = (tuple(int(share * size) for share, size in zip(s, scan_lps.shape, strict=True)) for s in (low, high))
    return crop(scan_lps, Box(start, stop))


def noisy(hu: NDArray[Any], sd_hu: float) -> NDArray[np.int16]:
    return (hu + np.random.default_rng(0).normal(0, sd_hu, hu.shape).astype(np.float32)).astype(np.int16)


def mirrored(volume: Volume, *axes: int) -> Volume:
    return volume.with_voxels(np.flip(volume.voxels, axes))


SCAN_CHANGES: dict[str, Callable[[Volume], Volume]] = {
    "axes in another order": lambda v: reorient(v, "PSR"),
    "half of the slices": lambda v: part(v, (0, 0, 0.3), (1, 1, 0.8)),
    "cropped in plane by 5 % a side": lambda v: part(v, (0.05, 0.05, 0), (0.95, 0.95, 1)),
    "cropped everywhere by 20 %": lambda v: part(v, (0.13, 0.13, 0.13), (0.93, 0.93, 0.93)),
    "1.5 × 1.5 × 2.5 mm": lambda v: resample_to_spacing(reorient(v, "RAS"), (1.5, 1.5, 2.5)),
    "1.5 × 1.5 × 5 mm": lambda v: resample_to_spacing(reorient(v, "RAS"), (1.5, 1.5, 5)),
    "window −150 to 250 HU": lambda v: v.with_voxels(np.clip(v.voxels, -150, 250)),
    "window 0 to 200 HU": lambda v: v.with_voxels(np.clip(v.voxels, 0, 200)),
    "noise of 20 HU": lambda v: v.with_voxels(noisy(v.voxels, 20)),
    "mirrored along one axis": lambda v: mirrored(v, 0),
    "mirrored along two axes": lambda v: mirrored(v, 1, 2),
}


def jpeg(hu: Picture) -> Picture:
    stream = io.BytesIO()
    Image.fromarray(np.clip(hu, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=50)
    return np.asarray(Image.open(stream)).astype(np.int16)


def resized(hu: Picture, width: int, height: int) -> Picture:
    grey = Image.fromarray(np.clip(hu, 0, 255).astype(np.uint8))
    return np.asarray(grey.resize((width, height), Image.Resampling.BILINEAR)).astype(np.int16)


SLICE_CHANGES: dict[str, Callable[[Picture], Picture]] = {
    "saved as JPEG again": jpeg,
    "256 × 256": lambda g: resized(g, 256, 256),
    "224 × 200": lambda g: resized(g, 224, 200),
    "window 0 to 150 HU": lambda g: np.clip(g, 0, 150),
    "cropped by 5 % a side": lambda g: g[25:-25, 25:-25],
    "noise of 10 HU": lambda g: noisy(g, 10),
    "upside down": lambda g: g[::-1],
}


def scan_table(scans: dict[str, Volume]) -> tuple[dict[str, list[float]], list[tuple[float, str, str]]]:
    """Return the similarities after each change, and of every two patients, highest first."""
    known = {name: landmarks(volume) for name, volume in track(scans.items(), description="scans")}
    found = {
        change: [scan_similarity(known[name], landmarks(alter(volume))) for name, volume in scans.items()]
        for change, alter in track(SCAN_CHANGES.items(), description="changes")
    }
    pairs = list(itertools.combinations(known, 2))
    others = [(scan_similarity(known[a], known[b]), a, b) for a, b in track(pairs, description="different patients")]
    return found, sorted(others, reverse=True)


def landmarks(volume: Volume) -> Any:
    found = landmarks_of(image_hash(volume))
    if found is None:
        raise ValueError("a scan's hash has landmarks")
    return found


def slice_table(folder: Path) -> tuple[dict[str, list[float]], list[tuple[float, str, str]]]:
    """Return the same for slices; every seventh is changed."""
    cases = read_data_set(folder, pictures=PictureReading(Window(lower_hu=0, upper_hu=255), flip_rows=True))
    slices = [axial for case in track(cases, description="slices") for axial in case.read_slices()]
    known = [picture_of(slice_hash(axial.hu)) for axial in slices]
    found: dict[str, list[float]] = {}
    for change, alter in SLICE_CHANGES.items():
        changed = [(known[n], picture_of(slice_hash(alter(slices[n].hu)))) for n in range(0, len(slices), 7)]
        found[change] = [slice_similarity(a, b) for a, b in changed if a is not None and b is not None]
    others = [
        (slice_similarity(a, b), slices[m].name, slices[n].name)
        for (m, a), (n, b) in itertools.combinations(enumerate(known), 2)
        if a is not None and b is not None and slices[m].patient != slices[n].patient
    ]
    return found, sorted(others, reverse=True)


def summary(found: dict[str, list[float]], others: list[tuple[float, str, str]], threshold: float) -> dict[str, Any]:
    return {
        "after a change: minimum, 5th percentile, median, share found": {
            change: [
                round(float(value), 3)
                for value in (*np.quantile(values, (0, 0.05, 0.5)), share_found(values, threshold))
            ]
            for change, values in found.items()
        },
        "threshold": threshold,
        "pairs of different patients": len(others),
        "most alike of different patients": [[round(value, 3), a, b] for value, a, b in others[:3]],
    }


def share_found(values: list[float], threshold: float) -> float:
    return float(np.mean(np.array(values) >= threshold))


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    whole = {name: read_volume(arguments.data / name) for name in WHOLE}
    regions = {
        case.name: case.scan.read_image()
        for case in region_folder(arguments.data / "pdac_roi")
        if case.scan is not None
    }
    result = {
        "whole scans": summary(*scan_table(whole), SAME_SCAN),
        "regions of the pancreas": summary(*scan_table(regions), SAME_SCAN),
        "slices": summary(*slice_table(arguments.data / "nih_slices"), SAME_SLICE),
    }
    for name, values in result.items():
        changes, *rest = values.items()
        table = Table(name, "minimum", "5 %", "median", "found", title=f"{dict(rest)}", title_justify="left")
        for change, numbers in changes[1].items():
            table.add_row(change, *(f"{number:.3g}" for number in numbers))
        Console().print(table)
    if arguments.out is not None:
        with written_whole(arguments.out) as temporary:
            temporary.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
