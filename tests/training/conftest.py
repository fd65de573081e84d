import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from pancascade.training import fit, validation

RECIPE = """
name: tiny
seed: 5
cascade:
  kind: qiu2024
  first: {name: unet, preset: tiny}
  second: {name: unet, preset: tiny}
  first_labels: [pancreas]
  second_labels: [pancreas]
  first_loss: dice_bce
  crop_size: [32, 32]
  margin: 4
canvas: {size: [32, 48], window: {lower_hu: 0, upper_hu: 255}}
data:
  - {reader: slice_folder, folder: slices, split: split.json, window: {lower_hu: 0, upper_hu: 255}}
augmentation: {rotation_degrees: 10, scaling: 0.1, noise: 0.05, elastic_pixels: 1}
batch_size: 4
precision: bf16-mixed
optimiser: {kind: adamw, learning_rate: 0.03, schedule: cosine, warmup_steps: 2, gradient_clip: 5.0}
phases:
  - {name: S, epochs: 1}
  - {name: I, epochs: 1}
  - {name: J, epochs: 2}
average_decay: 0.9
"""

PHASES = RECIPE[RECIPE.index("phases:") : RECIPE.index("average_decay")]
ONE_EPOCH = "phases:\n  - {name: S, epochs: 1}\n"
SPLIT = '{"train": ["p0", "p1", "p2", "p3"], "validation": ["p4"], "test": ["p5"]}'


def write_project(folder):
    """A recipe, a split, and six patients of two slices each: a bright blob on noise."""
    random = np.random.default_rng(0)
    slices = folder / "slices"
    for part in ("images", "masks"):
        (slices / part).mkdir(parents=True)
    rows = ["name,patient"]
    for patient in range(6):
        for number in range(2):
            name = f"p{patient}_z{number}"
            grey = random.integers(0, 80, (32, 48)).astype(np.uint8)
            mask = np.zeros((32, 48), bool)
            top, left = random.integers(4, 14, 2)
            mask[top : top + 10, left : left + 14] = True
            grey[mask] += 120
            Image.fromarray(grey).save(slices / "images" / f"{name}.png")
            Image.fromarray(mask).save(slices / "masks" / f"{name}.png")
            rows.append(f"{name},p{patient}")
    (slices / "index.csv").write_text("\n".join(rows) + "\n")
    (folder / "tiny.yaml").write_text(RECIPE)
    (folder / "split.json").write_text(SPLIT)


@pytest.fixture(autouse=True)
def without_sheets(monkeypatch, request):
    """A validation's picture takes as long as an epoch; whoever looks at one has a run of a larger scope."""
    if "draws_sheets" not in request.keywords:
        monkeypatch.setattr(validation, "_draw_sheet", lambda _, picture: picture.touch())


@pytest.fixture
def project(tmp_path):
    """A folder that `write_project` filled."""
    write_project(tmp_path)
    return tmp_path


@pytest.fixture(scope="package")
def whole_run(tmp_path_factory):
    """A project with a finished, uninterrupted run in the folder ``run``, and that run; neither to be changed."""
    folder = tmp_path_factory.mktemp("whole")
    write_project(folder)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the killed runs, so that sums are added in the same order
    run = fit(folder / "tiny.yaml", folder, out=folder / "run")
    torch.set_num_threads(threads)
    return folder, run


@pytest.fixture
def finished(whole_run, tmp_path):
    """A copy of that project, to be changed."""
    shutil.copytree(whole_run[0], tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def change_recipe():
    """Replace text in a project's recipe, and leave one epoch unless told otherwise."""

    def change(project, *pairs, one_epoch=True):
        text = (project / "tiny.yaml").read_text()
        for old, new in ((PHASES, ONE_EPOCH), *pairs) if one_epoch else pairs:
            assert old in text
            text = text.replace(old, new)
        (project / "tiny.yaml").write_text(text)
        return project / "tiny.yaml"

    return change
