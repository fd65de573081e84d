"""Splits, protocols of an evaluation, and reports of `data check`."""

import json
from pathlib import Path
from random import Random
from typing import Any

import yaml
from fuzz_kind import Answer, Kind
from kind_recipe import write_slices
from label_maps import EVALUATE, counted, write_masks
from text_mutations import mutated_json, mutated_yaml

SPLIT = {"note": "drawn", "seed": 1, "train": ["c"], "validation": [], "test": ["a", "b"]}
FOLDS = {"note": "drawn", "seed": 1, "folds": [["a", "b"], ["c"]]}
DUPLICATE = {
    "kind": "duplicate-patient",
    "severity": "error",
    "message": "One patient.",
    "patient": "p0",
    "others": ["p1"],
}
REPORT = {"cases": [{"name": "p0_z0", "tumour_ml": 1.5}], "findings": [DUPLICATE]}
PROTOCOL = b"""\
labels: {pancreas: [1, 2], tumour: [2]}
other_labels: refuse
resamples: 100
seed: 1
tolerances_mm: [1.0, 2.0]
surface: surfel
missing: report
lesions: {hit: iou, least_iou: 0.15}
"""
FILES = {
    "split.json": json.dumps(SPLIT).encode(),
    "folds.json": json.dumps(FOLDS).encode(),
    "check.json": json.dumps(REPORT).encode(),
    "protocol.yaml": PROTOCOL,
}


class SplitsAndProtocols(Kind):
    """A split or a protocol that `evaluate` reads, and a report that `data split` reads."""

    name = "protocols"
    share = 12
    commands = (
        f"{EVALUATE} --split split.json",
        f"{EVALUATE} --split folds.json --fold 0",
        f"{EVALUATE} --protocol protocol.yaml",
        f"{EVALUATE} --protocol protocol.yaml",
        "data split slices --picture-window 0 255 --parts 60 20 20 --duplicates check.json --workers 1 --out out.json",
    )
    left = frozenset({"cases"})

    def build(self, folder: Path) -> None:
        write_masks(folder)
        write_slices(folder, patients=6)
        for name, content in FILES.items():
            (folder / name).write_bytes(content)

    def mutate(self, folder: Path, random: Random) -> str:
        reported = []
        for name, good in FILES.items():
            change = mutated_yaml if name == "protocol.yaml" else mutated_json
            what, content = change(good, random)
            while takes_long(content):
                what, content = change(good, random)
            (folder / name).write_bytes(content)
            reported.append(f"{name} {what}")
        return "; ".join(reported)

    def answer(self, folder: Path, command: str) -> Answer:
        if command.startswith("data split"):
            return {
                part: sorted(json.loads((folder / "out.json").read_text())[part])
                for part in ("train", "validation", "test")
            }
        return counted(folder)

    def excused(self, folder: Path, command: str, answer: Answer, good: Path) -> bool:
        """The file says something else."""
        name = next(each for each in FILES if each in command)
        return tree(folder / name) != tree(good / name)


def tree(path: Path) -> Any:
    """What Python reads in it; None where it is nothing."""
    try:
        content = path.read_bytes()
        return json.loads(content) if path.suffix == ".json" else yaml.safe_load(content)
    except (ValueError, RecursionError, yaml.YAMLError):
        return None


def takes_long(content: bytes) -> bool:
    """More resamples than a moment's work are right, and none of a test's business."""
    return b"resamples: 1" in content and b"resamples: 100\n" not in content
