"""Prepared stores: arrays, index, manifest, records."""

import json
from pathlib import Path
from random import Random

from byte_mutations import damaged
from fuzz_kind import Answer, Kind
from kind_recipe import RECIPE, training_answer
from small_sets import make_msd
from table_mutations import mutated_table
from text_mutations import mutated_json

from pancascade.data.preparing.prepare import prepare
from pancascade.data.readers import msd

SOURCE = b"{reader: store, folder: store, split: split.json}"


class Stores(Kind):
    """A store that is described, verified and trained on."""

    name = "stores"
    share = 14
    commands = (
        "data describe store --workers 1 --out out",
        "train recipe.yaml --data . --out out",
        "train recipe.yaml --data . --out out",
        "data prepare store --verify",
    )
    left = frozenset({"cases", "records"})

    def build(self, folder: Path) -> None:
        prepare(msd(make_msd(folder / "set")), folder / "store")
        recipe = [line if not line.startswith(b"  - {reader") else b"  - " + SOURCE for line in RECIPE.split(b"\n")]
        (folder / "recipe.yaml").write_bytes(b"\n".join(recipe))
        split = {"train": ["pancreas_000"], "validation": ["pancreas_001"], "test": ["pancreas_002"]}
        (folder / "split.json").write_text(json.dumps(split))

    def mutate(self, folder: Path, random: Random) -> str:
        paths = sorted(path for path in (folder / "store").rglob("*") if path.is_file())
        arrays = [path for path in paths if path.suffix == ".b2nd"]
        path = random.choice(arrays if random.random() < 0.5 else paths)
        name = f"{path.relative_to(folder)}"
        content = path.read_bytes()
        draw = random.random()
        if draw < 0.08:
            path.unlink()
            return f"{name} gone"
        if draw < 0.16:
            other = random.choice([each for each in paths if each != path])
            path.write_bytes(other.read_bytes())
            return f"{name} is {other.name}"
        change = {".json": mutated_json, ".csv": mutated_table}.get(path.suffix, damaged)
        what, content = change(content, random) if random.random() < 0.7 else damaged(content, random)
        path.write_bytes(content)
        return f"{name} {what}"

    def answer(self, folder: Path, command: str) -> Answer:
        if "--verify" in command:
            return {}
        if command.startswith("train"):
            return training_answer(folder / "out")
        found = json.loads((folder / "out" / "fingerprint.json").read_text())["cases"]
        return {case["case"]: {"patient": case["patient"], "hu": case["hu"]} for case in found}
