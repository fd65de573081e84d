"""Relative path of a scan that hides the names of folders, so that the scan can be found again."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from pancascade.files.given_paths import real_path

MARK_DIGITS = 2
"""Hexadecimal digits of a folder's mark: enough to find the folder again, too few to identify a name."""

_MOST_PLACES = 20


def scan_place(scan: Path, *, seen_from: Path) -> str:
    """Return the path from a folder to a scan, such as ``../../~3f/scan.nii.gz``: folders as marks, file by name.

    Args:
        scan: A file, or the folder of a DICOM series, which becomes a mark too.
        seen_from: Folder from which the path starts.
    """
    scan = scan.absolute()
    try:
        way = os.path.relpath(real_path(scan.parent) / scan.name, real_path(seen_from))
    except ValueError:  # on another drive of Windows
        way = scan.name
    parts = Path(way).parts
    named = 0 if scan.is_dir() else 1
    folders = [part if part == os.pardir else _mark(part) for part in parts[: len(parts) - named]]
    return "/".join([*folders, *parts[len(parts) - named :]]) or "."


def places_of_scan(place: str, *, seen_from: Path) -> Iterator[Path]:
    """Yield files and folders that match a scan's place, usually one; the digest identifies the scan.

    Args:
        place: Path from `scan_place`.
        seen_from: Folder from which the path starts; it may have moved together with the scan.
    """
    *folders, last = place.split("/")
    found = [real_path(seen_from)]
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
