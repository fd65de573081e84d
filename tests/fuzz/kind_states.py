"""States of training that a run resumes from."""

from functools import cache
from pathlib import Path
from random import Random
from shutil import copytree
from tempfile import mkdtemp

import torch
from byte_mutations import damaged
from fuzz_kind import Answer, Kind
from kind_recipe import RECIPE, training_answer, write_slices
from safetensors.torch import load_file
from safetensors_files import OURS, change_header, differs_openly, texts_of, write_older
from text_mutations import mutated_json

from pancascade.methods.checkpoint import load_tensors
from pancascade.training import fit

RUN, LAST, BEST, HISTORY = "outrun", "last.safetensors", "best.safetensors", "history.json"
OPENLY = "without a digest, and it says something else"
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
            was = path.rename(folder / "was.safetensors")
            path.write_bytes(was.read_bytes())
            what = random.choice((change_header, _tensor))(path, random)
            if differs_openly(path, was):
                (folder / OPENLY).touch()
            was.unlink()
        return f"{path.name} {what}"

    def answer(self, folder: Path, command: str) -> Answer:
        found = dict(training_answer(folder / RUN))
        for part in (LAST, BEST):
            tensors, _ = load_tensors(folder / RUN / part)
            found |= {f"{part} {name}": tensor.tolist() for name, tensor in tensors.items()}
        return found

    def excused(self, folder: Path, command: str, answer: Answer, good: Path) -> bool:
        """Nothing could tell that it was another state."""
        return (folder / OPENLY).exists()


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


def _tensor(path: Path, random: Random) -> str:
    """Other numbers, in a file without a digest."""
    tensors, description = load_file(path), texts_of(path)[OURS]
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
    write_older(path, tensors, description=description)
    return f"{name} {how}"
