"""Checkpoints taken apart and written again, as another program or an older version would write them."""

import json
import struct
from pathlib import Path
from random import Random
from typing import Any

from safetensors.torch import load_file, save_file
from text_mutations import mutate_tree, mutated_json
from torch import Tensor

OURS = "pancascade"
"""Key of our description in the file's own texts; a digest, if there is one, stands beside it."""


def texts_of(path: Path) -> dict[str, str]:
    """Texts in the header of a file."""
    return dict(_header(path.read_bytes()).get("__metadata__", {}))


def write_older(path: Path, tensors: dict[str, Tensor], *, description: str) -> None:
    """As versions wrote that knew no digest."""
    path.unlink()
    save_file(tensors, path, metadata={OURS: description})


def change_header(path: Path, random: Random) -> str:
    """Change the description, the file's own header, or both; where it is told, the digest goes as well."""
    content = path.read_bytes()
    header = _header(content)
    draw, reported = random.random(), ""
    if random.random() < 0.7:
        header["__metadata__"] = {OURS: header["__metadata__"][OURS]}
        reported = ", without a digest"
    if draw < 0.6:
        ours = json.loads(header["__metadata__"][OURS])
        what = mutate_tree(ours, random)
        header["__metadata__"][OURS] = json.dumps(ours)
    elif draw < 0.8:
        what, text = mutated_json(header["__metadata__"][OURS].encode(), random)
        header["__metadata__"][OURS] = text.decode("latin-1")
    else:
        what = mutate_tree(header, random)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + _length(content) :])
    return what + reported


def differs_openly(path: Path, good: Path) -> bool:
    """Whether a file without a digest holds the same tensors and says something else of them."""
    try:
        texts, were = texts_of(path), texts_of(good)
        same = load_file(path).keys() == load_file(good).keys()
        return same and texts.keys() == {OURS} and json.loads(texts[OURS]) != json.loads(were[OURS])
    except Exception:
        return False


def _length(content: bytes) -> int:
    return int(struct.unpack("<Q", content[:8])[0])


def _header(content: bytes) -> dict[str, Any]:
    return dict(json.loads(content[8 : 8 + _length(content)]))
