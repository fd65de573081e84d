"""Reduce paths to names without folders: a folder may be named after a patient, and sentences and results are shared.

Every error and every notice goes through `names_only`, every record of a scan through `public_name`.
"""

import os
import re
from pathlib import Path, PurePosixPath, PureWindowsPath

DICOM_FOLDER = "DICOM folder"
"""Name of a scan that is a folder, whose own name may be a patient's."""

_WORD_START = re.compile(r"(?:^|(?<=[\s'\"(\[=<]))(?=[^\s'\"(\[])")
_SLASH = re.compile(r"/+(?=[^\s/'\"(),;:\]]|$)")
_ADDRESS = re.compile(r"\w+://")
_LOST = r"(?:(?!\.\s|\s[/\\]|\.\w{1,6}(?:[\s'\"),;:]|$))[^'\"():;,\n])*[/\\](?=[^\s/\\'\"(),;:])"
_LOST_FOLDERS = re.compile(_LOST)
_LOST_DRIVE = re.compile(r"(?<!\w)[A-Za-z]:[/\\]" + _LOST)
_LOST_HEAD = re.compile(r"^(?:(?!:\s|://)[^'\"\n])*/(?=[^/'\"\n:]+\.\w{1,6}: )")
_LONGEST = 4000


def public_name(scan: str | Path) -> str:
    """Return the name of a scan for others: the file's name; folders and unnamed scans get a general one.

    Args:
        scan: Path of any operating system, as given.
    """
    text = str(scan)
    if _is_folder(text):
        return DICOM_FOLDER
    name = PureWindowsPath(text).name if "\\" in text and "/" not in text else PurePosixPath(text).name
    return name or "scan"


def names_only(text: str, *, folder: str | None = None) -> str:
    """Reduce every path in a text to its last part; web addresses are kept.

    Existing folders are recognised with all their spaces; otherwise, all that looks like a path is removed.

    Args:
        text: One or more sentences.
        folder: Replaces a path that is itself an existing folder; None keeps its last part.
    """
    if "/" not in text and "\\" not in text:
        return text
    kept, place = [], 0
    for start in (match.start() for match in _WORD_START.finditer(text[:_LONGEST])):
        if start < place or _ADDRESS.match(text, start):
            continue
        end = _end_of_folders(text, start)
        if end is None:
            continue
        kept.append(text[place:start])
        place = end
        path_end = _end_of_path(text, start, end)
        if path_end is None:
            lost = _LOST_FOLDERS.match(text, end)
            place = place if lost is None else lost.end()
        elif folder is not None and _is_folder(text[start:path_end]):
            kept.append(folder)
            place = path_end
    text = "".join(kept) + text[place:]
    return _LOST_HEAD.sub("", _LOST_DRIVE.sub("", text))


def _end_of_folders(text: str, start: int) -> int | None:
    """Return where the last part of a path in an existing folder begins; None if no such path starts here."""
    slashes = [
        match for match in _SLASH.finditer(text, start, start + _LONGEST) if "\n" not in text[start : match.start()]
    ]
    for slash in reversed(slashes):
        if _is_folder(text[start : slash.start()] or "/"):
            return slash.end()
    return None


def _end_of_path(text: str, start: int, last: int) -> int | None:
    """Return where an existing path ends, its last part included; the longest one counts."""
    rest = re.split(r"\n|:\s", text[last:], maxsplit=1)[0].rstrip(":")
    ends = [len(rest), *(match.start() for match in re.finditer(r"[\s'\"(),;:.\]]", rest))]
    for end in sorted(set(ends), reverse=True):
        if end and _exists(text[start : last + end]):
            return last + end
    return None


def _exists(path: str) -> bool:
    try:
        return os.path.lexists(path)
    except (OSError, ValueError):
        return False


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False
