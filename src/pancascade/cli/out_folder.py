"""Check the output folder or files of a verb before any long work, and protect the user's files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pancascade.errors import OutputError, ScanError
from pancascade.files.given_paths import real_path

_ENDINGS = {"--out": ".html", "--csv": ".csv", "--json": ".json"}
"""Ending of a page's or table's name, by option."""

OWN = ("result.json", "refusal.json")
"""Files that mark a folder as a folder of results."""

FAULTS_OF_OPTIONS = ("no_such_series", "not_dicom")
"""Codes of refusals that are the fault of --series, not of the scan."""


def make_output_folder(out: Path) -> None:
    """Make the folder and try to write into it.

    Raises:
        OutputError: It cannot be made or written.
    """
    from tempfile import TemporaryFile

    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}). Choose another --out folder.") from error


@contextmanager
def tried(out: Path) -> Iterator[None]:
    """Make and try the folder of single files; it is removed again if nothing was written.

    Args:
        out: The folder.

    Raises:
        OutputError: It cannot be made or written.
    """
    from pancascade.files.made_folders import made_by, remove_empty

    made = made_by(out)
    try:
        make_output_folder(out)
        yield
    finally:
        remove_empty(made)


@contextmanager
def locked_output(out: Path, *, what: str) -> Iterator[None]:
    """Make and lock the folder for this run; it is removed again if nothing was written.

    Args:
        out: The folder.
        what: Verb that writes.

    Raises:
        OutputError: It cannot be made or written, or another run is writing there.
    """
    from pancascade.files.output_lock import lock_output

    with lock_output(out, what=what):
        yield


@contextmanager
def refusals_filed(out: Path, *, scan: Path) -> Iterator[None]:
    """Write the refusal of a scan inside the block to ``refusal.json``, except for faults of an option.

    Args:
        out: Folder of the file.
        scan: The scan.
    """
    try:
        yield
    except ScanError as error:
        from pancascade.results.refusal import write_refusal

        if error.code not in FAULTS_OF_OPTIONS:
            # The refusal itself matters more than an error in writing its file.
            with suppress(OutputError):
                write_refusal(error, scan, out)
        raise


def require_unused(out: Path, names: Sequence[str], *, scan: Path) -> None:
    """Refuse a folder in which results would replace the scan, or files that are no results.

    Args:
        out: Folder for the results.
        names: Names of the files that are written or removed there.
        scan: The scan that is read.

    Raises:
        OutputError: The scan has one of these names there; or such files exist in a folder that is no result's.
    """
    from pancascade.files.replacing import require_replaceable

    require_replaceable(out, names, seals=OWN, read=[scan])


def require_unedited(out: Path, masks: Sequence[str]) -> None:
    """Refuse a folder whose mask was edited since it was written, or that holds saved corrections.

    Args:
        out: Folder for the results.
        masks: Names of masks.

    Raises:
        OutputError: A mask was edited, or there are corrections.
    """
    from pancascade.results.corrections import has_corrections
    from pancascade.results.result import read_result
    from pancascade.results.result_files import changed_files

    if has_corrections(out):
        raise OutputError(
            f"{out}: holds saved corrections of the result that would be replaced. Choose another --out folder."
        )
    try:
        known = read_result(out / OWN[0])
    except ScanError:  # no result, or a damaged one: nothing to compare with
        return
    changed = [name for name in changed_files(out, known, names=masks) if (out / name).exists()]
    if changed:
        raise OutputError(
            f"{out}: {changed[0]} was edited since it was written, and the result would replace it. Move it away, or "
            "choose another --out folder."
        )


def require_other_files(written: Mapping[str, Path | None], *, read: Sequence[Path]) -> None:
    """Refuse to write two outputs into one file, over a result that is read, over a file of any result or another kind.

    Args:
        written: Files to write, by option; None if not requested.
        read: Files of results.

    Raises:
        OutputError: Two of them are the same, a result names one as its own, or one exists and is of another kind.
    """
    seen = {real_path(path): "a result that is read" for path in read}
    for option, path in written.items():
        if path is None:
            continue
        if real_path(path) in seen:
            raise OutputError(f"{option} {path}: is also {seen[real_path(path)]}. Choose another name.")
        if path.name in _files_of_result(path.parent):
            raise OutputError(f"{option} {path}: is a file of the result in this folder. Choose another name.")
        if path.is_file() and path.suffix.lower() != _ENDINGS[option]:
            raise OutputError(f"{option} {path}: this file exists. Choose a name that ends in {_ENDINGS[option]}.")
        seen[real_path(path)] = f"the file of {option}"


def _files_of_result(folder: Path) -> Iterable[str]:
    """Return the names of the files that the result in a folder names as its own; none without a result."""
    from pancascade.results.result import read_result

    try:
        return read_result(folder / OWN[0]).files
    except ScanError:
        return ()
