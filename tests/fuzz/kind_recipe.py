"""Recipes of training."""

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import yaml
from fuzz_kind import Answer, Kind
from PIL import Image
from text_mutations import mutated_yaml

NAME = "recipe.yaml"
RECIPE = b"""\
name: tiny
description: one epoch
seed: 1
cascade:
  kind: single_stage
  network: {name: unet, options: {widths: [4, 8]}}
  labels: [pancreas]
  loss: dice_bce
canvas: {size: [16, 32], window: {lower_hu: 0, upper_hu: 255}}
data:
  - {reader: slice_folder, folder: slices, split: split.json, window: {lower_hu: 0, upper_hu: 255}, keep: all}
augmentation: {rotation_degrees: 10, scaling: 0.1, noise: 0.05}
batch_size: 2
accumulate: 1
precision: 32-true
optimiser: {kind: adamw, learning_rate: 0.01, schedule: cosine, warmup_steps: 1, gradient_clip: 5.0}
phases:
  - {name: train, epochs: 1}
average_decay: 0.9
"""
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MOST_EPOCHS = 3
LARGEST, ABSURD = 64, 10**6
"""What takes long but is right is none of a test's business: more epochs, and sizes in between."""


class Recipe(Kind):
    """A recipe that `train` reads."""

    name = "recipe"
    share = 16
    commands = (f"train {NAME} --data . --out out",)

    def build(self, folder: Path) -> None:
        write_slices(folder)
        (folder / NAME).write_bytes(RECIPE)

    def mutate(self, folder: Path, random: Random) -> str:
        while True:
            what, content = mutated_yaml(RECIPE, random)
            if not takes_long(content):
                (folder / NAME).write_bytes(content)
                return what

    def answer(self, folder: Path, command: str) -> Answer:
        return training_answer(folder / "out")

    def excused(self, folder: Path, command: str, answer: Answer, good: Path) -> bool:
        """It says something else, and the run keeps what it said."""
        kept, given = (folder / "out" / NAME).read_bytes(), (folder / NAME).read_bytes()
        return kept == given and _tree(given) != _tree(RECIPE)


def write_slices(folder: Path, *, patients: int = 3) -> None:
    """A few patients of two pictures each, and a split."""
    random = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / "slices" / part).mkdir(parents=True)
    rows = ["name,patient"]
    for patient in range(patients):
        for number in range(2):
            name = f"p{patient}_z{number}"
            grey = random.integers(0, 80, (16, 32)).astype(np.uint8)
            mask = np.zeros((16, 32), bool)
            mask[4:10, 5 + number : 13] = True
            grey[mask] += 120
            Image.fromarray(grey).save(folder / "slices" / "images" / f"{name}.png")
            Image.fromarray(mask).save(folder / "slices" / "masks" / f"{name}.png")
            rows.append(f"{name},p{patient}")
    (folder / "slices" / "index.csv").write_text("\n".join(rows) + "\n")
    (folder / "split.json").write_text(json.dumps({"train": ["p0"], "validation": ["p1"], "test": ["p2"]}))


def training_answer(run: Path) -> Answer:
    """The numbers of a run, epoch by epoch."""
    history = json.loads((run / "history.json").read_text())
    return {str(n): {key: value for key, value in row.items() if key != "seconds"} for n, row in enumerate(history)}


def _tree(content: bytes) -> Any:
    try:
        return yaml.load(content, Loader=LOADER)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def takes_long(content: bytes) -> bool:
    """Whether a recipe may be right, and asks for more than a moment's work."""
    # A pure-Python parser takes its time for bombs, which are no settings anyway.
    if b"&a" in content or content.count(b"[") > 100 or content.count(b"\n") > 100:
        return False
    tree = _tree(content)
    if not isinstance(tree, dict):
        return False
    phases = tree.get("phases")
    epochs = [phase.get("epochs") for phase in phases if isinstance(phase, dict)] if isinstance(phases, list) else []
    if any(_number(value) > MOST_EPOCHS for value in epochs):
        return True
    sizes = [
        _part(tree, "canvas", "size"),
        _part(tree, "cascade", "network", "options", "widths"),
        _part(tree, "data", "per_epoch"),
    ]
    return any(
        LARGEST < _number(value) < ABSURD for part in sizes for value in (part if isinstance(part, list) else [part])
    )


def _part(tree: Any, *keys: str) -> Any:
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
