"""A data set and a trained run, as `attribute --source` takes them."""

import io
import json
from functools import cache
from pathlib import Path
from random import Random
from shutil import copytree
from tempfile import mkdtemp

from byte_mutations import damaged
from fuzz_kind import Answer, Kind
from kind_pictures import PICTURES, saved_picture, seen_by_pillow
from kind_predictions import READING
from kind_recipe import write_slices
from kind_results import tree
from kind_tables import read_by_python
from kind_weights import change_weights
from PIL import Image
from safetensors_files import differs_openly
from table_mutations import mutated_table
from text_mutations import mutated_json

from pancascade.training import fit

RECIPE = """\
name: tiny
seed: 1
cascade:
  kind: qiu2024
  first: {name: unet, options: {widths: [4, 8]}}
  second: {name: unet, options: {widths: [4, 8]}}
  first_labels: [pancreas]
  second_labels: [pancreas]
  first_loss: dice_bce
  crop_size: [16, 16]
  margin: 4
canvas: {size: [16, 32], window: {lower_hu: 0, upper_hu: 255}}
data:
  - {reader: slice_folder, folder: slices, split: split.json, window: {lower_hu: 0, upper_hu: 255}, keep: all}
batch_size: 2
precision: 32-true
optimiser: {kind: adamw, learning_rate: 0.01}
phases:
  - {name: J, epochs: 1}
"""
SPLIT, INDEX, WEIGHTS = "split.json", "slices/index.csv", "run/best.safetensors"


class Attributions(Kind):
    """Slices, their table, their split and the weights of a run: where do the errors come from?"""

    name = "attributions"
    share = 10
    commands = (
        f"attribute --source slices --model run --split {SPLIT} {READING} --out out",
        f"attribute --source slices --model {WEIGHTS} {READING} --out out",
        f"attribute --source slices --model run --split {SPLIT} --part validation --out out",
    )

    def build(self, folder: Path) -> None:
        copytree(_trained(), folder, dirs_exist_ok=True)

    def mutate(self, folder: Path, random: Random) -> str:
        draw = random.random()
        if draw < 0.25:
            return f"weights {change_weights(folder / WEIGHTS, random)}"
        if draw < 0.65:
            name, change = random.choice(((SPLIT, mutated_json), (INDEX, mutated_table)))
            what, content = change((folder / name).read_bytes(), random)
        else:
            path = random.choice(sorted((folder / "slices").rglob("*.png")))
            name = str(path.relative_to(folder))
            if random.random() < 0.5:
                what, content = damaged(path.read_bytes(), random)
            else:
                what = random.choice(list(PICTURES))
                content = saved_picture(PICTURES[what](Image.open(io.BytesIO(path.read_bytes()))))
        (folder / name).write_bytes(content)
        return f"{name} {what}"

    def answer(self, folder: Path, command: str) -> Answer:
        written = json.loads((folder / "out" / "attribution.json").read_text())
        found = {target: one["cases"] for target, one in written["targets"].items()}
        return {**found, "localization": written["localization"]["cases"]}

    def excused(self, folder: Path, command: str, answer: Answer, good: Path) -> bool:
        """A picture, the table or the split says something else, or nothing could tell that the weights do."""
        pictures = [path.relative_to(good) for path in sorted((good / "slices").rglob("*.png"))]
        seen = [seen_by_pillow(folder / path) for path in pictures]
        return (
            (None not in seen and seen != [seen_by_pillow(good / path) for path in pictures])
            or tree(folder / SPLIT) != tree(good / SPLIT)
            or read_by_python(folder / INDEX) != read_by_python(good / INDEX)
            or differs_openly(folder / WEIGHTS, good / WEIGHTS)
        )


@cache
def _trained() -> Path:
    """Slices, and a run of two stages."""
    folder = Path(mkdtemp(prefix="pancascade-fuzz-"))
    write_slices(folder)
    (folder / "recipe.yaml").write_text(RECIPE)
    fit(folder / "recipe.yaml", folder, out=folder / "run")
    (folder / "run" / "last.safetensors").unlink()
    return folder
