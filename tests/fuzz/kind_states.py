"""States of training that a run resumes from."""

import json
import struct
from functools import cache
from pathlib import Path
from random import Random
from shutil import copytree
from tempfile import mkdtemp

import torch
from byte_mutations import damaged
from fuzz_kind import Answer, Kind
from kind_recipe import RECIPE, training_answer, write_slices
from text_mutations import mutate_tree, mutated_json

from pancascade.checkpoint import load_tensors, save_tensors
from pancascade.training import fit

RUN, LAST, BEST, HISTORY = "outrun", "last.safetensors", "best.safetensors", "history.json"
TWO_EPOCHS = RECIPE.replace(b"epochs: 1}", b"epochs: 2}")


class States(Kind):
    """A run's folder that `train --resume` goes on in."""

    name = "states"
    share = 12
    commands = (f"train recipe.yaml --data . --out {RUN} --resume",)

    def build(self, folder: Path) -> None:
        write_slices(folder)
        (folder / "recipe.yaml").write_bytes(TWO_EPOCHS)
        copytree(_half_way(), folder / RUN)

    def mutate(self, folder: Path, random: Random) -> str:
        path = folder / RUN / random.choice((LAST, LAST, LAST, HISTORY, BEST, "recipe.yaml"))
        if path.name == HISTORY:
            what, content = mutated_json(path.read_bytes(), random)
            path.write_bytes(content)
        elif random.random() < 0.1:
            path.unlink()
            what = "gone"
        elif path.suffix == ".yaml" or random.random() < 0.4:
            what, content = damaged(path.read_bytes(), random)
            path.write_bytes(content)
        else:
            what = random.choice((_about, _tensor))(path, random)
        return f"{path.name} {what}"

    def answer(self, folder: Path, command: str) -> Answer:
        found = dict(training_answer(folder / RUN))
        for part in (LAST, BEST):
            tensors, _ = load_tensors(folder / RUN / part)
            found |= {f"{part} {name}": tensor.tolist() for name, tensor in tensors.items()}
        return found


@cache
def _half_way() -> Path:
    """A run of two epochs that was stopped after the first."""
    folder = Path(mkdtemp(prefix="pancascade-fuzz-"))
    write_slices(folder)
    (folder / "recipe.yaml").write_bytes(TWO_EPOCHS)

    class StoppedError(Exception):
        pass

    def stop(run: object, done: int, batches: int) -> None:
        if getattr(run, "epoch", 0) == 1:
            raise StoppedError

    try:
        fit(folder / "recipe.yaml", folder, out=folder / "run", progress=stop)
    except StoppedError:
        return folder / "run"
    raise AssertionError("the run was not stopped")


def _about(path: Path, random: Random) -> str:
    """Another JSON header of sound length."""
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    ours = json.loads(header["__metadata__"]["pancascade"])
    what = mutate_tree(ours, random)
    header["__metadata__"]["pancascade"] = json.dumps(ours)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    return what


def _tensor(path: Path, random: Random) -> str:
    """Other numbers, written as pancascade writes them."""
    tensors, header = load_tensors(path)
    name = random.choice(sorted(tensors))
    how = random.choice(("NaN", "longer", "gone", "renamed"))
    if how == "NaN":
        tensors[name] = torch.full(tensors[name].shape, float("nan"))
    elif how == "longer":
        tensors[name] = torch.cat((tensors[name].view(-1), tensors[name].view(-1)))
    elif how == "renamed":
        tensors[f"{name}/x"] = tensors.pop(name)
    else:
        del tensors[name]
    path.unlink()
    save_tensors(path, tensors, header=header)
    return f"{name} {how}"
