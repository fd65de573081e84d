"""Where the files of a model lie, told without naming a folder: one of them may be a patient's."""

from importlib.resources import files
from pathlib import Path

from pancascade.errors import UnknownModelError
from pancascade.files.digests import content_digest
from pancascade.files.scan_place import places_of_scan, scan_place


def shipped_folder() -> Path:
    """The folder of the weights that come with the package."""
    return Path(str(files("pancascade"))) / "weights"


def public_place(file: Path, *, seen_from: Path) -> str:
    """How a description tells where a file lies: its name if it is shipped or lies beside, or a way of marks.

    Args:
        file: Weights or card.
        seen_from: Folder of the description.
    """
    if file.parent.resolve() in (shipped_folder().resolve(), seen_from.resolve()):
        return file.name
    return scan_place(file, seen_from=seen_from)


def find_file(place: str, *, folder: Path, digest: str | None = None) -> Path:
    """A file of a model.

    Args:
        place: As `public_place` gives it, or a path.
        folder: Of the description.
        digest: Of its content; None takes the first file that there is.

    Returns:
        The file; where there is none, where it would lie beside the description.

    Raises:
        UnknownModelError: All that lie there have another content.
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
        f"{there[0].name}: not the weights that the model was described with. Give those back, or calibrate again."
    )
