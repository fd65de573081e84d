"""Weights: safetensors with a JSON header; the description of a model beside them."""

import json
import pickle
import struct
from pathlib import Path
from random import Random

import torch
from byte_mutations import damaged
from file_mutations import replace_file
from fuzz_kind import Answer, Kind
from safetensors.torch import load_file
from safetensors_files import OURS, change_header, differs_openly, texts_of, write_older
from tiny_model import mask_answer, write_scan, write_weights

from pancascade.methods.checkpoint import load_tensors

NAME = "w.safetensors"


class Weights(Kind):
    """A checkpoint. Damaged weights are refused: nothing tells a wrong mask from a right one."""

    name = "weights"
    share = 20
    commands = (
        f"segment scan.nii.gz --model {NAME} --backend torch --out out --save-probabilities",
        f"segment scan.nii.gz --model {NAME} --backend torch --out out --save-probabilities",
        f"join network={NAME} --out out.safetensors",
    )

    def build(self, folder: Path) -> None:
        write_scan(folder / "scan.nii.gz")
        write_weights(folder / NAME)

    def mutate(self, folder: Path, random: Random) -> str:
        return change_weights(folder / NAME, random)

    def answer(self, folder: Path, command: str) -> Answer:
        if command.startswith("join"):
            tensors, _ = load_tensors(folder / "out.safetensors")
            return {name: tensor.tolist() for name, tensor in tensors.items()}
        return mask_answer(folder / "out")

    def excused(self, folder: Path, command: str, answer: Answer, good: Path) -> bool:
        """Nothing could tell that its description was another one."""
        return differs_openly(folder / NAME, good / NAME)


def change_weights(path: Path, random: Random) -> str:
    """Damage a checkpoint, or put other tensors or something else in its place; says what was done."""
    what = random.choice((_bytes, _bytes, _header_bytes, change_header, change_header, _tensors, _tensors, _file))
    return f"{what.__name__.strip('_')}: {what(path, random)}"


def _bytes(path: Path, random: Random) -> str:
    what, content = damaged(path.read_bytes(), random)
    path.write_bytes(content)
    return what


def _header_bytes(path: Path, random: Random) -> str:
    content = path.read_bytes()
    what, content = damaged(content, random, end=8 + struct.unpack("<Q", content[:8])[0])
    path.write_bytes(content)
    return what


def _tensors(path: Path, random: Random) -> str:
    """Other tensors, in a file without a digest."""
    tensors, description = load_file(path), texts_of(path)[OURS]
    name = random.choice(sorted(tensors))
    how = random.choice(list(TENSORS))
    tensors[name] = TENSORS[how](tensors[name].clone())
    if how == "gone":
        del tensors[name]
    if how == "one more":
        tensors["another"] = torch.zeros(3)
    if how == "renamed":
        tensors[f"{name}.x"] = tensors.pop(name)
    write_older(path, tensors, description=description)
    return f"{name} {how}"


def _set_first(tensor: torch.Tensor, value: float) -> torch.Tensor:
    tensor = tensor.float()
    tensor.view(-1)[0] = value
    return tensor


TENSORS = {
    "NaN": lambda tensor: _set_first(tensor, float("nan")),
    "infinite": lambda tensor: _set_first(tensor, float("inf")),
    "all NaN": lambda tensor: torch.full(tensor.shape, float("nan")),
    "longer": lambda tensor: torch.cat((tensor.view(-1), tensor.view(-1))),
    "empty": lambda tensor: tensor.view(-1)[:0],
    "complex": lambda tensor: tensor.to(torch.complex64),
    "gone": lambda tensor: tensor,
    "one more": lambda tensor: tensor,
    "renamed": lambda tensor: tensor,
}


def _of_others(content: bytes) -> bytes:
    """Tensors alone, as other software saves them."""
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    del header["__metadata__"]
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def _file(path: Path, random: Random) -> str:
    return replace_file(path, random, FILES)


FILES = {
    "gone": lambda _: b"gone",
    "a folder": lambda _: None,
    "a pickle": lambda _: pickle.dumps({"a": 1}),
    "an LFS pointer": lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    "page of HTML": lambda _: b"<!DOCTYPE html><html></html>",
    "huge header": lambda content: struct.pack("<Q", 2**62) + content[8:],
    "empty header": lambda _: struct.pack("<Q", 2) + b"{}",
    "of others": _of_others,
}
