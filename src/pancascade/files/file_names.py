"""Matching of file names with different spellings: accents, upper case, endings added by tools."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePath
from typing import TypeVar

from pancascade.errors import DataError

FARTHEST_NAME = 240
"""Most bytes of a file name; file systems allow 255, and results add an ending."""

READABLE_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
"""Suffixes of readable image files."""

Found = TypeVar("Found")


def abbreviated(text: str, *, most: int = 40) -> str:
    """Return a text short enough for a sentence; a long one is reduced to its beginning and end."""
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"


def composed(name: str) -> str:
    """Return the name with composed accents (NFC); file systems of Macs decompose them (NFD)."""
    return unicodedata.normalize("NFC", name)


def text_name(name: str) -> str:
    """Return the name of a file, folder, case or patient as `composed` does, if tables and pages can hold it.

    Raises:
        DataError: The name is not UTF-8, as names from old archives are; Python gives its bytes as surrogates.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = abbreviated(name.encode("utf-8", "replace").decode())
        raise DataError(f"{shown}: this name is not UTF-8 text. Rename the file or folder.") from None
    return composed(name)


def case_name(path: PurePath) -> str:
    """Return the case name of a file: without suffix, and without the ``.seg`` of 3D Slicer.

    Raises:
        DataError: See `text_name`.
    """
    return re.sub(r"\.seg$", "", text_name(stem(Path(path))), flags=re.IGNORECASE)


def case_key(name: str) -> str:
    """Return a key equal for all names of a case: without upper case, ``_0000`` of nnU-Net, ``-label`` and ``.seg``.

    Args:
        name: Name of a case or of a file.
    """
    return re.sub(r"(_0000|-label|\.seg)$", "", composed(stem(Path(name))).casefold())


def match_names(wanted: Iterable[str], found: Mapping[str, Found]) -> dict[str, Found]:
    """Return the item for each wanted name: by the exact name, else by the only name with the same case key.

    Args:
        wanted: Names of cases.
        found: Items by the names in use.

    Returns:
        Items by wanted name, without names that have no match or several.
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
    """Return whether a text can be a path: no part is too long, and no character is impossible."""
    return text.isprintable() and all(len(part.encode()) <= FARTHEST_NAME for part in re.split(r"[/\\]", text))


def is_file(path: Path) -> bool:
    """Return whether a file exists; False for a name that is too long or impossible."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def there(path: Path) -> bool:
    """Return whether a file or folder exists; False for a name that is too long or impossible."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def find_path(root: Path, text: str, *, key: Callable[[str], str] = lambda name: composed(name).casefold()) -> Path:
    """Return the file that a table or index names, also if its name on disk has another spelling.

    Args:
        root: Folder to which the text is relative.
        text: Path as written, with slashes or backslashes.
        key: Function whose value is equal for two spellings of one name.

    Returns:
        An existing path, if each part exists or has exactly one similar name; else the path as written.
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
    """Return the file name without its image suffix: "scan.v2" of scan.v2.nii.gz; unchanged without a known suffix."""
    suffix = known_suffix(path)
    return path.name if suffix is None else path.name[: -len(suffix)]


def known_suffix(path: Path) -> str | None:
    """Return the image suffix of a name, in upper or lower case; None for another suffix."""
    # Longest first, so that .nii.gz is found in scan.v2.nii.gz.
    for suffix in sorted(READABLE_SUFFIXES, key=len, reverse=True):
        if path.name.lower().endswith(suffix):
            return suffix
    return None
