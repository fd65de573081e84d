"""Files of a result: whether they are those that were written with it."""

from collections.abc import Sequence
from pathlib import Path

from pancascade.errors import UnreadableError, listed
from pancascade.files.digests import content_digest
from pancascade.files.file_names import there
from pancascade.results import structures
from pancascade.results.result import NAME, Result, place_of


def folder_of_result(path: Path) -> Path:
    """Return the folder of a result that is given by its folder or by a file in it.

    Raises:
        UnreadableError: There is nothing at this path; the folder above it may be another result.
    """
    if not there(path):
        raise UnreadableError(f"{path}: there is no such result. Give a folder with {NAME}.", code="no_such_file")
    return path if path.is_dir() else path.parent


def changed_files(folder: Path, result: Result, *, names: Sequence[str] | None = None) -> list[str]:
    """Return the names of files beside a result that differ from those written with it.

    Args:
        folder: Folder of the result.
        result: The result with its digests; results of an older version have none.
        names: Names to check; None for all. Missing files count as changed.
    """
    known = {name: digest for name, digest in result.files.items() if names is None or name in names}
    places = {name: folder / (name if name in structures.MASKS else Path(name).name) for name in known}
    return [name for name, digest in known.items() if content_digest(places[name]) != digest]


def foreign_files(folder: Path, result: Result, names: Sequence[str]) -> list[str]:
    """Return which of some files that a result may have lie beside it, but were not written with it.

    Args:
        folder: Folder of the result.
        result: The result; nothing is foreign to one of an older version, without digests.
        names: Names of files that need not be there.
    """
    there = [name for name in names if result.files and (folder / name).is_file()]
    return [name for name in there if content_digest(folder / name) != result.files.get(name)]


def require_whole(folder: Path, result: Result, *, shown: Sequence[str] = ()) -> None:
    """Refuse a result whose mask, pictures or report are of another run, or were edited afterwards.

    Probability maps, masks of single structures and their table are checked only if they are shown.

    Args:
        folder: Folder of the result.
        result: The result.
        shown: Names of further files that are shown if they are there.

    Raises:
        UnreadableError: A file differs from the one that was written with it.
    """
    beside = ("probability_", f"{structures.FOLDER}/", structures.STATISTICS)
    always = [name for name in result.files if not name.startswith(beside)]
    changed = [*changed_files(folder, result, names=always), *foreign_files(folder, result, shown)]
    if changed:
        raise UnreadableError(
            f"{place_of(folder / NAME)}: {listed(changed)} beside it is not what was written with it, but edited, "
            "missing or of another scan. Segment the scan again.",
            code="result_changed",
        )
