"""Write the pictures with masks that the trainings of the shipped weights use in addition to the data sets.

    python benchmarks/training_pictures.py crops --data DATA --out DATA/msd_tumour_crops
    python benchmarks/training_pictures.py pseudo --data DATA --out DATA/msd_pseudo_labels

`crops`: writes the crops of MSD Task07 with PANORAMA's labels (`msd_crops`, `msd_crops_aligned`) as a slice folder;
84 patients, 45 of them with tumour. `pseudo` (self-training, noisy student): makes masks for the unlabelled slices of
MSD Task03 with the present model, as the mean of five views (sizes, rotations, contrasts) of both stages and of the
region's cascade. A slice is positive if the views agree (mean Dice to their mean at least 0.82) and the hint in its
index row does not contradict. It is negative if nothing is segmented and the hint agrees. Validation patients are
left out.
"""

import argparse
import csv
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track
from torch import Tensor
from torch.nn import functional

from pancascade.data.readers import AxialSlice, slice_folder
from pancascade.imaging.preprocessing import Canvas, Window, find_placement
from pancascade.imaging.preprocessing.network_grid import to_network_grid, to_scan_grid
from pancascade.inference.models.known_models import find_model
from pancascade.methods.cascades import Cascade
from pancascade.methods.cascades.qiu2024 import Qiu2024
from pancascade.methods.cascades.tensor_crops import box_around
from pancascade.methods.checkpoint import load_checkpoint
from pancascade.training.recipe import recipes_folder

PANORAMA_ORGAN, PANORAMA_TUMOUR = (4, 5), 1
VIEWS = ((1.0, 0, 1.0), (0.88, 6, 1.0), (1.12, -6, 1.0), (1.0, 8, 0.88), (1.05, -4, 1.12))
"""Size, degrees and contrast of each view."""

WEIGHTS = (0.35, 0.35, 0.3)
"""Weights of stage 1, stage 2 and the region's cascade."""

THRESHOLD, LEAST_AGREEMENT, LEAST_CM2 = 0.45, 0.82, 2.0
REGION = (128, 192)
PIXEL_MM = 1.6
"""Assumed pixel size of MSD Task03's slices of 256 pixels, which do not contain it."""


@dataclass(frozen=True)
class Vote:
    """Predictions of the views for one slice.

    Attributes:
        mean: (H, W) on the canvas, probability of the pancreas.
        agreement: Mean Dice of the views' masks to the mean's.
        presence: Mean probability that the slice shows the pancreas.
    """

    mean: Tensor
    agreement: float
    presence: float


def write_crops(data: Path, out: Path) -> None:
    """Write the crops of MSD Task07 with PANORAMA's labels as pictures."""
    rows = []
    for folder in ("msd_crops", "msd_crops_aligned"):
        for path in track(sorted((data / folder).glob("pancreas_*.npz")), description=folder):
            with np.load(path) as crops:
                for key in (key for key in crops.files if key.startswith("panorama_")):
                    number = key.removeprefix("panorama_")
                    if f"img_{number}" not in crops.files or min(crops[key].shape) < 24:
                        continue
                    labels = np.isin(crops[key], PANORAMA_ORGAN).astype(np.uint8)
                    labels[crops[key] == PANORAMA_TUMOUR] = 2
                    name = f"{folder}_{path.stem}_{number}"
                    save(out, name, labels, image=crops[f"img_{number}"])
                    rows.append((name, path.stem, f"{float(crops['spacing'][0]):.4f}"))
    write_index(out, ("name", "patient", "pixel_mm"), rows)


def write_pseudo_labels(data: Path, out: Path, model_name: str) -> None:
    """Write masks of the unlabelled slices of MSD Task03 from a model of two steps."""
    model, folder = find_model(model_name), data / "msd_liver_slices"
    wide, description = load_checkpoint(model.folder / model.steps[0].weights)
    close, _ = load_checkpoint(model.folder / model.steps[1].weights)
    canvas = description.canvas
    if not isinstance(wide, Qiu2024) or not isinstance(canvas, Canvas) or canvas.spacing_mm is None:
        raise SystemExit(f"{model_name}: its first step is not a cascade of Qiu 2024 at a fixed spacing.")
    held_out = json.loads((recipes_folder() / "splits" / "msd_liver_slices.json").read_text())["validation"]
    with (folder / "index.csv").open() as file:
        hints = {row["name"]: float(row["p_pancreas"]) for row in csv.DictReader(file)}
    cases = slice_folder(
        folder,
        window=Window(lower_hu=0, upper_hu=255),
        flip_rows=True,
        without_masks=True,
        pixel_mm=PIXEL_MM,
        rows_with={"no_pancreas_checked": "0"},
    )
    rows = []
    for case in track([case for case in cases if case.patient not in held_out], description="slices"):
        (axial,) = case.read_slices()
        mask = pseudo_label(axial, wide, close, canvas, hint=hints[case.name])
        if mask is not None:
            save(out, case.name, mask[::-1] * np.uint8(255), copied=folder / "images" / f"{case.name}.jpg")
            rows.append((case.name, case.patient))
    write_index(out, ("name", "patient"), rows)


def pseudo_label(
    axial: AxialSlice, wide: Qiu2024, close: Cascade, canvas: Canvas, *, hint: float
) -> NDArray[np.uint8] | None:
    """Return the mask of a slice, (H, W); None if the views or the hint disagree."""
    placement = find_placement(axial.hu, spacing_mm=axial.spacing_mm, canvas=canvas, grow=False)
    image = torch.from_numpy(to_network_grid(canvas.window.apply(axial.hu)[None, None], placement))
    vote = vote_of(image, wide, close)
    if hint < 0.3 and vote.presence < 0.1:
        return np.zeros(axial.hu.shape, np.uint8)
    area_cm2 = float((vote.mean >= THRESHOLD).sum()) * (canvas.spacing_mm or 0.0) ** 2 / 100
    sure = vote.presence > 0.5 and vote.agreement >= LEAST_AGREEMENT and area_cm2 >= LEAST_CM2
    if not sure or hint <= 0.4:
        return None
    return (to_scan_grid(vote.mean[None, None].numpy(), placement)[0, 0] >= THRESHOLD).astype(np.uint8)


@torch.no_grad()
def vote_of(image: Tensor, wide: Qiu2024, close: Cascade) -> Vote:
    """Return the combined prediction of all views of an image (1, 1, H, W)."""
    maps, presences = zip(*(view(image, wide, close, *how) for how in VIEWS), strict=True)
    stacked = torch.stack(maps)
    mean, presence = stacked.mean(0), float(np.mean(presences))
    decided, parts = mean >= THRESHOLD, stacked >= THRESHOLD
    dice = [2 * int((part & decided).sum()) / max(1, int(part.sum() + decided.sum())) for part in parts]
    return Vote(mean, float(np.mean(dice)), presence)


def view(
    image: Tensor, wide: Qiu2024, close: Cascade, size: float, degrees: float, contrast: float
) -> tuple[Tensor, float]:
    """Return the probability map (H, W) of one view, and the probability that the slice shows the pancreas."""
    there = affine(size, degrees, image.shape)
    seen = (warped(image, there) * contrast).clamp(0, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        reported = wide.first_maps(seen)
        first = torch.sigmoid(reported.organ).float()
        second = wide._second_probability(seen, wide._boxes_of(first)).float()
        region = region_map(seen, first, close)
    presence = 1.0 if reported.presence is None else float(torch.sigmoid(reported.presence))
    maps = WEIGHTS[0] * first + WEIGHTS[1] * second + WEIGHTS[2] * region
    return warped(maps, torch.linalg.inv(there))[0, 0], presence


def region_map(image: Tensor, first: Tensor, close: Cascade) -> Tensor:
    """Return the organ probabilities of the region's cascade around stage 1's organ, (1, 1, H, W)."""
    found, box = torch.zeros_like(first), box_around(first[0, 0] >= 0.5, margin=0)
    if box is None or not isinstance(close, Qiu2024):
        return found
    middle = [(start + stop) // 2 for start, stop in zip(box.start, box.stop, strict=True)]
    top, left = (
        min(max(at - size // 2, 0), whole - size)
        for at, size, whole in zip(middle, REGION, image.shape[2:], strict=True)
    )
    part = (..., slice(top, top + REGION[0]), slice(left, left + REGION[1]))
    # 0 to 200 HU for the whole scan, 0 to 180 HU for the region, whose neighbours are the slice itself
    crop = (image[part] * 200 / 180).clamp(0, 1).expand(-1, 5, -1, -1)
    found[part] = torch.sigmoid(close.first_maps(crop).organ).float()
    return found


def affine(size: float, degrees: float, shape: Sequence[int]) -> Tensor:
    """Return a homogeneous matrix (3, 3) in grid_sample's coordinates."""
    height, width = shape[-2:]
    cos, sin = np.cos(np.deg2rad(degrees)) * size, np.sin(np.deg2rad(degrees)) * size
    rows = [[cos, -sin * height / width, 0.0], [sin * width / height, cos, 0.0], [0.0, 0.0, 1.0]]
    return torch.tensor(rows, dtype=torch.float32)


def warped(maps: Tensor, matrix: Tensor) -> Tensor:
    """Return resampled maps (1, C, H, W)."""
    grid = functional.affine_grid(matrix[None, :2], list(maps.shape), align_corners=False)
    return functional.grid_sample(maps.float(), grid, align_corners=False)


def save(
    out: Path, name: str, mask: NDArray[np.uint8], *, image: NDArray[np.uint8] | None = None, copied: Path | None = None
) -> None:
    """Write a picture and its mask."""
    for part in ("images", "masks"):
        (out / part).mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(out / "masks" / f"{name}.png")
    if image is not None:
        Image.fromarray(image).save(out / "images" / f"{name}.png")
    if copied is not None:
        shutil.copy(copied, out / "images" / copied.name)


def write_index(out: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write ``index.csv`` of a slice folder."""
    with (out / "index.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["crops", "pseudo"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="qiu2024-small")
    arguments = parser.parse_args()
    if arguments.what == "crops":
        write_crops(arguments.data, arguments.out)
    else:
        write_pseudo_labels(arguments.data, arguments.out, arguments.model)


if __name__ == "__main__":
    main()
