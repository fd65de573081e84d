"""File names as people and programmes spell them: composed or decomposed accents, capitals, endings of their tools."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePath
from typing import TypeVar

FARTHEST_NAME = 240
"""Bytes of a file's name; file systems take 255, and results add an ending."""

READABLE_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
"""Of files of images."""

Found = TypeVar("Found")


def abbreviated(text: str, *, most: int = 40) -> str:
    """A text that fits into a sentence: its beginning and end where it is long."""
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"


def composed(name: str) -> str:
    """The name with composed accents (NFC): file systems of Macs take them apart (NFD), others do not."""
    return unicodedata.normalize("NFC", name)


def case_name(path: PurePath) -> str:
    """The case that a file is of: its name without suffix, and without the ``.seg`` that 3D Slicer adds."""
    return re.sub(r"\.seg$", "", composed(stem(Path(path))), flags=re.IGNORECASE)


def case_key(name: str) -> str:
    """What is equal for all names of a case: no capitals, no ``_0000`` of nnU-Net's first channel, no ``.seg``.

    Args:
        name: Of a case or of a file.
    """
    return re.sub(r"(_0000|-label|\.seg)$", "", composed(stem(Path(name))).casefold())


def match_names(wanted: Iterable[str], found: Mapping[str, Found]) -> dict[str, Found]:
    """What was found under each wanted name: the very name, or else the only one that spells the same case.

    Args:
        wanted: Names of cases.
        found: By the names that others use.

    Returns:
        Without the names for which there is nothing, or more than one thing.
    """
    wanted = list(wanted)
    matched = {name: found[name] for name in wanted if name in found}
    groups: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for place, names in enumerate((wanted, found)):
        for name in names:
            if name not in matched:
                groups[case_key(name)][place].append(name)
    matched |= {ours[0]: found[theirs[0]] for ours, theirs in groups.values() if len(ours) == len(theirs) == 1}
    return matched


def is_possible(text: str) -> bool:
    """Whether a text can be a path at all: no name in it is too long, and no character impossible."""
    return text.isprintable() and all(len(part.encode()) <= FARTHEST_NAME for part in re.split(r"[/\\]", text))


def is_file(path: Path) -> bool:
    """Whether there is such a file; no file has a name that is too long or impossible."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def there(path: Path) -> bool:
    """The same for a file or a folder."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def find_path(root: Path, text: str, *, key: Callable[[str], str] = lambda name: composed(name).casefold()) -> Path:
    """The file that a table or index means, also where the disk spells its name in another way.

    Args:
        root: Folder to which the text is relative.
        text: As it is written, with slashes or backslashes.
        key: What is equal for two spellings of one name.

    Returns:
        A path that exists, if each part of it is there or only one name is spelled alike; else the path as written.
    """
    path = root / text
    if there(path) or not text:
        return path
    parts = re.split(r"[/\\]+", text)
    here = root if parts[0] else Path(root.anchor or "/")
    for part in filter(None, parts):
        found = here / part
        if not there(found):
            alike = [entry for entry in _entries(here) if key(entry.name) == key(part)]
            if len(alike) != 1:
                return path
            found = alike[0]
        here = found
    return here


def _entries(folder: Path) -> list[Path]:
    try:
        return [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except (OSError, ValueError):
        return []


def stem(path: Path) -> str:
    """The file's name without its image suffix: "scan.v2" of scan.v2.nii.gz; unchanged without a known suffix."""
    suffix = known_suffix(path)
    return path.name if suffix is None else path.name[: -len(suffix)]


def known_suffix(path: Path) -> str | None:
    """The suffix of an image that a name ends with, in any case."""
    # Longest first, for names such as scan.v2.nii.gz.
    for suffix in sorted(READABLE_SUFFIXES, key=len, reverse=True):
        if path.name.lower().endswith(suffix):
            return suffix
    return None
