"""Something else in the place of a file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

GONE = b"gone"
"""Stands for no file at all; None stands for a folder."""


def replace_file(path: Path, random: Random, ways: Mapping[str, Callable[[bytes], bytes | None]]) -> str:
    """Put what one of the ways makes of a file in its place, and say which."""
    name = random.choice(list(ways))
    content = ways[name](path.read_bytes())
    path.unlink()
    if content is None:
        path.mkdir()
    elif content != GONE:
        path.write_bytes(content)
    return name
