import numpy as np
import pytest
from PIL import Image

RECIPE = """
name: tiny
seed: 5
cascade:
  kind: qiu2024
  first: {name: unet, preset: tiny}
  second: {name: focusing_net, preset: tiny}
  first_labels: [pancreas]
  second_labels: [pancreas]
  crop_size: [32, 32]
  margin: 4
canvas: {size: [32, 48], window: {lower_hu: 0, upper_hu: 255}}
data:
  - {reader: slice_folder, folder: slices, split: split.json, window: {lower_hu: 0, upper_hu: 255}}
augmentation: {rotation_degrees: 10, scaling: 0.1, noise: 0.05, elastic_pixels: 1}
batch_size: 4
optimiser: {kind: adamw, learning_rate: 0.01, schedule: cosine}
phases:
  - {name: S, epochs: 1}
  - {name: I, epochs: 1}
  - {name: J, epochs: 2}
average_decay: 0.9
"""

SPLIT = '{"train": ["p0", "p1", "p2", "p3"], "validation": ["p4"], "test": ["p5"]}'


@pytest.fixture
def project(tmp_path):
    """A folder with a recipe, a split, and six patients of two slices each: a bright blob on noise."""
    random = np.random.default_rng(0)
    folder = tmp_path / "slices"
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    rows = ["name,patient"]
    for patient in range(6):
        for number in range(2):
            name = f"p{patient}_z{number}"
            grey = random.integers(0, 80, (32, 48)).astype(np.uint8)
            mask = np.zeros((32, 48), bool)
            top, left = random.integers(4, 14, 2)
            mask[top : top + 10, left : left + 14] = True
            grey[mask] += 120
            Image.fromarray(grey).save(folder / "images" / f"{name}.png")
            Image.fromarray(mask).save(folder / "masks" / f"{name}.png")
            rows.append(f"{name},p{patient}")
    (folder / "index.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    (tmp_path / "split.json").write_text(SPLIT)
    return tmp_path
