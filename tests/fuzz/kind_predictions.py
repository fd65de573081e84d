"""What `predict` wrote, as `evaluate`, `compare` and a resumed `predict` read it."""

import json
from functools import cache
from pathlib import Path
from random import Random
from shutil import copytree
from tempfile import mkdtemp

from byte_mutations import damaged
from fuzz_kind import Answer, Kind
from kind_pictures import seen_by_pillow
from kind_recipe import RECIPE, write_slices
from kind_results import tree
from label_maps import counted
from text_mutations import mutated_json
from typer.testing import CliRunner

from pancascade.cli.app import app
from pancascade.training import fit

NAME = "predictions.json"
READING = "--picture-window 0 255"


class Predictions(Kind):
    """A folder of predictions of slices."""

    name = "predictions"
    share = 12
    commands = (
        "evaluate one slices --out out --workers 1",
        "evaluate one slices --out out --workers 1",
        "compare slices one two --out out --workers 1",
        f"predict run --source slices --split split.json {READING} --out outone --resume",
    )
    left = frozenset({"cases"})

    def build(self, folder: Path) -> None:
        copytree(_predicted(), folder, dirs_exist_ok=True)

    def mutate(self, folder: Path, random: Random) -> str:
        draw = random.random()
        if draw < 0.6:
            what, content = mutated_json((folder / "one" / NAME).read_bytes(), random)
            name = NAME
        else:
            name = random.choice(sorted(path.name for path in (folder / "one").glob("*.png")))
            others = sorted(path for path in (folder / "slices" / "masks").glob("*.png"))
            other = random.choice(others)
            what, content = f"is {other.name} of the references", other.read_bytes()
            if draw < 0.85:
                what, content = damaged((folder / "one" / name).read_bytes(), random)
        for part in ("one", "outone"):
            (folder / part / name).write_bytes(content)
        return f"{name} {what}"

    def answer(self, folder: Path, command: str) -> Answer:
        if command.startswith("predict"):
            return {path.name: seen_by_pillow(path) for path in (folder / "outone").glob("*.png")}
        if command.startswith("evaluate"):
            return counted(folder)
        found = {}
        for method in ("one", "two"):
            path = folder / "out" / "cases" / method
            records = [json.loads(each.read_text())["record"] for each in sorted(path.glob("*.json"))]
            found[method] = {record["case"]: record["targets"] for record in records}
        return found

    def excused(self, folder: Path, command: str, answer: Answer, good: Path) -> bool:
        """Only the list of predictions says something else."""
        return tree(folder / "one" / NAME) != tree(good / "one" / NAME)


@cache
def _predicted() -> Path:
    """A run, and its predictions of the slices, three times."""
    folder = Path(mkdtemp(prefix="pancascade-fuzz-"))
    write_slices(folder, patients=4)
    (folder / "split.json").write_text(json.dumps({"train": ["p0"], "validation": ["p1"], "test": ["p2", "p3"]}))
    (folder / "recipe.yaml").write_bytes(RECIPE)
    fit(folder / "recipe.yaml", folder, out=folder / "run")
    (folder / "run" / "last.safetensors").unlink()
    command = f"predict {folder}/run --source {folder}/slices --split {folder}/split.json --out {folder}/one {READING}"
    ended = CliRunner().invoke(app, command.split())
    assert ended.exit_code == 0, ended.output
    for name in ("two", "outone"):
        copytree(folder / "one", folder / name)
    return folder
