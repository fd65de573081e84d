"""Tables: indexes of slice folders, lists of scans, patients, scores, and the list of a data set in JSON."""

import csv
import json
from pathlib import Path
from random import Random

from fuzz_kind import Answer, Kind
from kind_recipe import RECIPE, training_answer, write_slices
from label_maps import EVALUATE, counted, write_masks
from small_sets import make_msd
from table_mutations import mutated_table
from text_mutations import mutated_json

INDEX, LIST, PATIENTS, SCORES = "slices/index.csv", "list.csv", "patients.csv", "scores.csv"
OPTIONS = "--workers 1 --out out"


class Tables(Kind):
    """A table that some verb reads."""

    name = "tables"
    share = 22
    commands = (
        f"data check slices --picture-window 0 255 {OPTIONS}",
        f"data describe slices --picture-window 0 255 {OPTIONS}",
        "train recipe.yaml --data . --out out",
        f"data check {LIST} {OPTIONS}",
        f"data describe {LIST} {OPTIONS}",
        f"data prepare {LIST} {OPTIONS}",
        f"data check set {OPTIONS}",
        f"data prepare set {OPTIONS}",
        f"{EVALUATE} --patients {PATIENTS}",
        f"{EVALUATE} --scores {SCORES}",
    )
    left = frozenset({"cases", "records", "manifest.json", "arrays"})

    def build(self, folder: Path) -> None:
        write_slices(folder)
        (folder / "recipe.yaml").write_bytes(RECIPE)
        make_msd(folder / "set", count=2)
        rows = ["image,label,patient"]
        rows += [f"set/imagesTr/pancreas_00{n}.nii.gz,set/labelsTr/pancreas_00{n}.nii.gz,p{n}" for n in range(2)]
        (folder / LIST).write_text("\n".join(rows) + "\n")
        write_masks(folder)
        (folder / PATIENTS).write_text("case,patient\na,p1\nb,p2\n")
        (folder / SCORES).write_text("case,score\na,0.9\nb,0.125\n")

    def mutate(self, folder: Path, random: Random) -> str:
        # All of them, so that whatever the command reads is another one.
        for name in (INDEX, LIST, PATIENTS, SCORES):
            state = random.getstate()
            what, content = mutated_table((folder / name).read_bytes(), random)
            (folder / name).write_bytes(content)
            if name != SCORES:
                random.setstate(state)
        path = folder / "set" / "dataset.json"
        other, content = mutated_json(path.read_bytes(), random)
        path.write_bytes(content)
        return f"tables: {what}; set: {other}"

    def answer(self, folder: Path, command: str) -> Answer:
        out = folder / "out"
        if command.startswith("evaluate"):
            return counted(folder)
        if command.startswith("train"):
            return training_answer(out)
        if command.startswith("data describe"):
            found = json.loads((out / "fingerprint.json").read_text())["cases"]
            return {case["case"]: {"patient": case["patient"], "hu": case["hu"]} for case in found}
        if command.startswith("data prepare"):
            found = json.loads((out / "manifest.json").read_text())
            return {case: [file["digest"] for file in files["files"]] for case, files in found["cases"].items()}
        return {}  # what `data check` says of a table is its answer, and may be anything

    def excused(self, folder: Path, command: str, answer: Answer, good: Path) -> bool:
        """The table says something else, by Python's reading of it."""
        if "set" in command.split()[:3]:
            return _json(folder / "set" / "dataset.json") != _json(good / "set" / "dataset.json")
        name = next((each for each in (LIST, PATIENTS, SCORES) if each in command), INDEX)
        return read_by_python(folder / name) != read_by_python(good / name)


def read_by_python(path: Path) -> object:
    """Rows of a table as dictionaries, whatever stands in it; None where it is no text."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            return sorted(json.dumps(row, sort_keys=True, default=str) for row in csv.DictReader(lines))
    except (ValueError, csv.Error, TypeError):
        return None


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
