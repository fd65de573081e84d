"""Find the files of a model by places that name no folder, since a folder may be named after a patient."""

from importlib.resources import files
from pathlib import Path

from pancascade.errors import UnknownModelError
from pancascade.files.digests import content_digest
from pancascade.files.given_paths import real_path
from pancascade.files.scan_place import places_of_scan, scan_place


def shipped_folder() -> Path:
    """Return the folder of the weights that come with the package."""
    return Path(str(files("pancascade"))) / "weights"


def public_place(file: Path, *, seen_from: Path) -> str:
    """Return the place of a file for a description: its name if shipped or beside it, else a path without names.

    Args:
        file: Weights or card.
        seen_from: Folder of the description.
    """
    if real_path(file.parent) in (real_path(shipped_folder()), real_path(seen_from)):
        return file.name
    return scan_place(file, seen_from=seen_from)


def find_file(place: str, *, folder: Path, digest: str | None = None) -> Path:
    """Find a file of a model.

    Args:
        place: A place by `public_place`, or a path.
        folder: Folder of the description.
        digest: Digest of the content; None takes the first file found.

    Returns:
        The file; if there is none, its path beside the description.

    Raises:
        UnknownModelError: All files at that place have another content.
    """
    beside = folder / place
    there = [path for path in (beside, shipped_folder() / place) if path.is_file()]
    if "~" in place:
        there.extend(places_of_scan(Path(place).as_posix(), seen_from=folder))
    if digest is None or not there:
        return there[0] if there else beside
    for path in there:
        if content_digest(path) == digest:
            return path
    raise UnknownModelError(
        f"{there[0].name}: not the weights of the model's description. Restore those, or calibrate again."
    )
