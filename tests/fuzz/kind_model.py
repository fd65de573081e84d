"""The description of a model: which weights, in which steps, at which thresholds."""

import json
from pathlib import Path
from random import Random

from fuzz_kind import Answer, Kind
from text_mutations import mutated_json
from tiny_model import mask_answer, write_scan, write_weights

NAME = "model/tiny.json"
WITHOUT_INFLUENCE = {"name", "summary", "licence", "card", "trained_on"}
"""Of its keys; all others may change the mask, as whoever writes them wants."""
MODEL = {
    "name": "tiny",
    "summary": "Finds the phantom.",
    "steps": [
        {"weights": "w.safetensors", "margin_mm": 10.0},
        {"weights": "w.safetensors", "input": "roi", "organ_weight": 0.5},
    ],
    "organ_threshold": 0.5,
    "tumour_threshold": 0.5,
    "calibration": {"organ_temperature": 1.1, "tumour_temperature": 0.9, "data": "none"},
    "licence": "none",
    "trained_on": [{"data_set": "d", "split": None, "patients": ["0123456789abcdef"]}],
}


class ModelFile(Kind):
    """A model's JSON that `segment` reads."""

    name = "model"
    share = 10
    commands = (f"segment scan.nii.gz --model {NAME} --backend torch --out out",)

    def build(self, folder: Path) -> None:
        write_scan(folder / "scan.nii.gz")
        write_weights(folder / "model" / "w.safetensors")
        (folder / NAME).write_text(json.dumps(MODEL, indent=1))

    def mutate(self, folder: Path, random: Random) -> str:
        what, content = mutated_json((folder / NAME).read_bytes(), random)
        (folder / NAME).write_bytes(content)
        return what

    def answer(self, folder: Path, command: str) -> Answer:
        return mask_answer(folder / "out")

    def excused(self, folder: Path, command: str, answer: Answer, good: Path) -> bool:
        """Its settings say something else."""
        return settings(folder / NAME) != settings(good / NAME)


def settings(path: Path) -> dict[str, object] | None:
    """What may change a mask, read by Python alone."""
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    return {key: value for key, value in content.items() if key not in WITHOUT_INFLUENCE}
