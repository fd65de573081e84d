"""Results whose masks a reader corrected, as `train --source` learns from them."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random
from shutil import copytree
from tempfile import mkdtemp

import kind_nifti
import numpy as np
from byte_mutations import damaged
from fuzz_kind import Answer, Kind
from kind_recipe import training_answer
from kind_results import tree, voxels
from table_mutations import mutated_table
from text_mutations import mutated_json

from pancascade.methods.cascades import build_cascade
from pancascade.methods.checkpoint import describe, save_checkpoint
from pancascade.results.corrections import save_correction
from pancascade.training import read_recipe
from result_folders import make_result, packed

RECIPE = """\
name: tiny
seed: 5
cascade:
  kind: single_stage
  network: {name: unet, options: {widths: [4, 8]}}
  labels: [pancreas, tumour]
  loss: dice_bce
canvas: {size: [32, 48], window: {lower_hu: 0, upper_hu: 255}}
data:
  - {reader: msd, folder: nothing}
batch_size: 2
optimiser: {kind: adamw, learning_rate: 0.01}
phases:
  - {name: train, epochs: 1}
"""
SHAPE, AFFINE = (48, 32, 3), np.diag((-1.0, -1.0, 2.0, 1.0))
CASES, TABLE = ("case-0", "case-3"), "results/scans.csv"


class Corrections(Kind):
    """A correction's record or label map, the result that it belongs to, or the list of the scans."""

    name = "corrections"
    share = 10
    commands = (
        "train recipe.yaml --source results --out out",
        "train recipe.yaml --source results --start-from model.safetensors --out out",
    )

    def build(self, folder: Path) -> None:
        copytree(_corrected(), folder, dirs_exist_ok=True)

    def mutate(self, folder: Path, random: Random) -> str:
        result = folder / "results" / random.choice(CASES)
        draw = random.random()
        if draw < 0.35:
            path, change = result / "corrections" / "001.json", mutated_json
        elif draw < 0.55:
            path, change = result / "result.json", mutated_json
        elif draw < 0.75:
            path, change = folder / TABLE, mutated_table
        elif draw < 0.85:
            path = random.choice((result / "corrections" / "001.nii.gz", folder / f"{result.name}.nii.gz"))
            return f"{path.name} {kind_nifti.change_field(path, random)}"
        else:
            path = random.choice((result / "corrections" / "001.nii.gz", folder / f"{result.name}.nii.gz"))
            change = damaged
        what, content = change(path.read_bytes(), random)
        path.write_bytes(content)
        return f"{path.relative_to(folder)} {what}"

    def answer(self, folder: Path, command: str) -> Answer:
        return training_answer(folder / "out")

    def excused(self, folder: Path, command: str, answer: Answer, good: Path) -> bool:
        """What tells which patient, label map or grid it is says something else; a scan has a digest."""
        records = [f"results/{case}/{name}" for case in CASES for name in ("result.json", "corrections/001.json")]
        scans = [f"{case}.nii.gz" for case in CASES]
        reported = any(tree(folder / name) != tree(good / name) for name in records)
        reported = reported or (folder / TABLE).read_bytes() != (good / TABLE).read_bytes()
        return reported and all(voxels(folder / name) == voxels(good / name) for name in scans)


@cache
def _corrected() -> Path:
    """Two corrected results, a list of their scans, and weights to start from."""
    folder = Path(mkdtemp(prefix="pancascade-fuzz-"))
    (folder / "recipe.yaml").write_text(RECIPE)
    rows = ["case,input,patient"]
    for case in CASES:
        place = int(case[-1])
        hu = np.random.default_rng(place).integers(0, 80, SHAPE).astype(np.int16)
        hu[:, :2] = -1000
        labels = np.zeros(SHAPE, np.uint8)
        labels[12:30, 8 + place : 22 + place, :2] = 1
        labels[16:22, 11 + place : 16 + place, 0] = 2
        hu[labels > 0] += 100
        result, _ = make_result(folder / "results" / case, affine=AFFINE, hu=hu, mask=np.zeros_like(labels))
        (result / "scan.nii.gz").rename(folder / f"{case}.nii.gz")
        save_correction(result, packed(labels, AFFINE), author="R", now=datetime(2026, 3, 4, tzinfo=UTC))
        rows.append(f"{case},../{case}.nii.gz,p{place}")
    (folder / TABLE).write_text("\n".join(rows) + "\n")
    recipe = read_recipe(folder / "recipe.yaml")
    description = describe(recipe.cascade, recipe.canvas)
    save_checkpoint(folder / "model.safetensors", build_cascade(recipe.cascade), description=description)
    return folder
