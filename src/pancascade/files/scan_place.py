"""Where a scan lies, told so that it can be found again and no name of a folder can be read off it."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

MARK_DIGITS = 2
"""Hexadecimal digits of a folder's mark: enough to find the way again, too few to tell whose name it stands for."""

_MOST_PLACES = 20


def scan_place(scan: Path, *, seen_from: Path) -> str:
    """The way from a folder to a scan, such as ``../../~3f/scan.nii.gz``: folders are marks, a file keeps its name.

    Args:
        scan: A file, or the folder of a DICOM series, which is a mark, too.
        seen_from: A folder.
    """
    scan = scan.absolute()
    try:
        way = os.path.relpath(scan.parent.resolve() / scan.name, seen_from.resolve())
    except ValueError:  # on another drive of Windows
        way = scan.name
    parts = Path(way).parts
    named = 0 if scan.is_dir() else 1
    folders = [part if part == os.pardir else _mark(part) for part in parts[: len(parts) - named]]
    return "/".join([*folders, *parts[len(parts) - named :]]) or "."


def places_of_scan(place: str, *, seen_from: Path) -> Iterator[Path]:
    """Files and folders that a scan's place may mean, nearly always one; the scan itself is told by its digest.

    Args:
        place: As `scan_place` gives it.
        seen_from: The folder it was seen from; it may have moved together with the scan.
    """
    *folders, last = place.split("/")
    found = [seen_from.resolve()]
    for part in folders:
        found = [path for folder in found for path in _step(folder, part)][:_MOST_PLACES]
    for folder in found:
        yield from (path for path in _step(folder, last) if path.exists())


def _step(folder: Path, part: str) -> list[Path]:
    if part == os.pardir:
        return [folder.parent]
    if not part.startswith("~"):
        return [folder / Path(part).name]
    try:
        return sorted(path for path in folder.iterdir() if _mark(path.name) == part and path.is_dir())
    except OSError:
        return []


def _mark(name: str) -> str:
    digest = hashlib.blake2b(os.fsencode(name), digest_size=16).hexdigest()
    return f"~{digest[:MARK_DIGITS]}"
