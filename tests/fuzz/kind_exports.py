"""Models as `export` and `join` take them: a description with weights, and stages that were trained apart."""

import hashlib
import json
from pathlib import Path
from random import Random

import torch
from fuzz_kind import Answer, Kind
from kind_model import MODEL, NAME, settings
from kind_weights import change_weights
from safetensors_files import differs_openly
from text_mutations import mutated_json
from tiny_model import CANVAS, write_weights

from pancascade.methods.cascades import CoarseToFineSettings, build_cascade
from pancascade.methods.checkpoint import describe, load_tensors, save_checkpoint
from pancascade.methods.networks import NetworkSettings

WEIGHTS = "model/w.safetensors"
TINY = NetworkSettings(name="unet", preset="tiny")


class Exports(Kind):
    """A model that `export` writes for other software."""

    name = "exports"
    share = 6
    commands = (f"export {NAME} --format openvino --out out",)

    def build(self, folder: Path) -> None:
        write_weights(folder / WEIGHTS)
        (folder / NAME).write_text(json.dumps(MODEL, indent=1))

    def mutate(self, folder: Path, random: Random) -> str:
        if random.random() < 0.4:
            return change_weights(folder / WEIGHTS, random)
        what, content = mutated_json((folder / NAME).read_bytes(), random)
        (folder / NAME).write_bytes(content)
        return what

    def answer(self, folder: Path, command: str) -> Answer:
        described = json.loads((folder / "out" / "export.json").read_text())
        found: dict[str, object] = {"thresholds": [described.get("organ_threshold"), described.get("tumour_threshold")]}
        for path in (folder / "out").glob("*.bin"):
            found[path.name] = hashlib.blake2b(path.read_bytes()).hexdigest()
        return found

    def excused(self, folder: Path, command: str, answer: Answer, good: Path) -> bool:
        """Its settings say something else, or nothing could tell that its weights' description does."""
        other = settings(folder / NAME) != settings(good / NAME)
        return other or differs_openly(folder / WEIGHTS, good / WEIGHTS)


class Stages(Kind):
    """Checkpoints of two stages that `join` puts together."""

    name = "stages"
    share = 4
    commands = ("join first=one.safetensors second=two.safetensors --out out.safetensors",)

    def build(self, folder: Path) -> None:
        described = CoarseToFineSettings(first=TINY, second=TINY, crop_size=(32, 32))
        for seed, name in enumerate(("one", "two")):
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                cascade = build_cascade(described)
            save_checkpoint(folder / f"{name}.safetensors", cascade, description=describe(described, CANVAS))

    def mutate(self, folder: Path, random: Random) -> str:
        path = folder / random.choice(("one.safetensors", "two.safetensors"))
        return f"{path.name} {change_weights(path, random)}"

    def answer(self, folder: Path, command: str) -> Answer:
        tensors, _ = load_tensors(folder / "out.safetensors")
        return {name: tensor.tolist() for name, tensor in tensors.items()}

    def excused(self, folder: Path, command: str, answer: Answer, good: Path) -> bool:
        """Nothing could tell that a description was another one."""
        return any(differs_openly(folder / name, good / name) for name in ("one.safetensors", "two.safetensors"))
