"""Train two methods and compare them on artificial pictures: python examples/train_and_compare.py OUT [--epochs 40].

A single U-Net is compared with a cascade of two, with tiny networks, in a minute or two on a laptop. The pictures are
bright ellipses on noise. The numbers do not apply to patients; the steps are those for real data.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import pancascade
from pancascade.data.readers import Case, PictureReading, read_data_set
from pancascade.data.splits.splits import cases_of, read_split
from pancascade.evaluation.data_set import evaluate_data_set
from pancascade.imaging.preprocessing import Window
from pancascade.inference.prediction import predict_cases
from pancascade.report.comparison.evaluate_methods import summarise_all

SIZE = (48, 64)
GREY = Window(lower_hu=0, upper_hu=255)
METHODS = {
    "unet": "{kind: single_stage, network: {name: unet, preset: tiny}, labels: [pancreas]}",
    "cascade": (
        "{kind: coarse_to_fine, first: {name: unet, preset: tiny}, second: {name: unet, preset: tiny}, "
        "first_labels: [pancreas], second_labels: [pancreas], margin: 4, crop_size: [32, 48], "
        "loss: dice_bce}"
    ),
}
RECIPE = """
name: NAME
seed: 5
cascade: CASCADE
canvas: {size: [48, 64], window: {lower_hu: 0, upper_hu: 255}}
data:
  - {reader: slice_folder, folder: slices, split: split.json, window: {lower_hu: 0, upper_hu: 255}}
batch_size: 8
optimiser: {kind: adamw, learning_rate: 0.01, schedule: cosine, warmup_steps: 2, gradient_clip: 5.0}
phases:
PHASES
"""


def make_pictures(folder: Path, *, patients: int = 15, slices: int = 4) -> None:
    """Write grey pictures with an ellipse, their masks and patients in the layout `slice_folder`."""
    random = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    index = ["name,patient"]
    for patient in range(patients):
        for number in range(slices):
            middle, radii = random.uniform((14, 18), (34, 46)), random.uniform((4, 6), (9, 13))
            mask = ((rows - middle[0]) / radii[0]) ** 2 + ((columns - middle[1]) / radii[1]) ** 2 <= 1
            grey = np.clip(random.normal(70, 30, SIZE) + 45 * mask, 0, 255).astype(np.uint8)
            name = f"p{patient}_z{number}"
            Image.fromarray(grey).save(folder / "images" / f"{name}.png")
            Image.fromarray(mask).save(folder / "masks" / f"{name}.png")
            index.append(f"{name},p{patient}")
    (folder / "index.csv").write_text("\n".join(index) + "\n")
    names = [f"p{patient}" for patient in range(patients)]
    third = patients // 3
    split = {"train": names[2 * third :], "validation": names[third : 2 * third], "test": names[:third]}
    (folder.parent / "split.json").write_text(json.dumps(split))


def write_recipe(folder: Path, name: str, *, epochs: int) -> Path:
    """Write the recipe of a method, with the one phase that trains all of it."""
    phase = f"  - {{name: {'train' if name == 'unet' else 'both'}, epochs: {epochs}}}"
    text = RECIPE.replace("NAME", name).replace("CASCADE", METHODS[name]).replace("PHASES", phase)
    (folder / f"{name}.yaml").write_text(text)
    return folder / f"{name}.yaml"


def train_and_compare(out: Path, *, epochs: int = 40, patients: int = 15) -> pancascade.Evaluated:
    """Make pictures, train each method, predict unseen patients and compare; all files are below `out`."""
    make_pictures(out / "slices", patients=patients)
    cases = read_data_set(out / "slices", pictures=PictureReading(GREY, False))
    unseen = cases_of(cases, read_split(out / "split.json")["test"])
    evaluations = []
    for name in METHODS:
        run = pancascade.train(write_recipe(out, name, epochs=epochs), out, out=out / "runs" / name, resume=True)
        print(name, run)
        predict_cases(run.best, unseen, out / "masks" / name, resume=True)
        evaluations.append(evaluate_data_set(out / "masks" / name, unseen, method=name))
    found = summarise_all(evaluations)
    found.write(out / "compared")
    draw(out / "figure.png", out, unseen)
    return found


def draw(path: Path, out: Path, cases: list[Case]) -> None:
    """Draw the first slice of three patients: the picture, the reference, the mask of each method."""
    names = ["picture", "reference", *METHODS]
    figure = Figure(figsize=(2 * len(names), 4.8), layout="compressed")
    patients = list(dict.fromkeys(case.patient for case in cases))
    for row, patient in enumerate(patients[:3]):
        name = f"{patient}_z0"
        files = [out / "slices/images" / f"{name}.png", out / "slices/masks" / f"{name}.png"]
        files += [out / "masks" / method / f"{name}.png" for method in METHODS]
        for column, file in enumerate(files):
            axes = figure.add_subplot(3, len(names), row * len(names) + column + 1)
            axes.imshow(np.asarray(Image.open(file)), cmap="gray")
            axes.set_axis_off()
            axes.set_title(names[column] if row == 0 else "", fontsize=9)
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=40)
    chosen = parser.parse_args()
    print(train_and_compare(chosen.out, epochs=chosen.epochs))
    print(f"Report: {chosen.out / 'compared' / 'report.html'}")
