"""The folder or files that a verb writes: tried before any long work, and never over what the user gave or owns."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pancascade.errors import OutputError, ScanError

OWN = ("result.json", "refusal.json")
"""What shows that a folder is one of results."""

FAULTS_OF_OPTIONS = ("no_such_series", "not_dicom")
"""Codes of refusals for which --series is to blame, not the scan."""


def make_output_folder(out: Path) -> None:
    """Make the folder and try to write into it, before any long work.

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
    """The folder of single files, made and tried before any long work; gone again if nothing was written.

    Args:
        out: The folder.

    Raises:
        OutputError: It cannot be made or written.
    """
    from pancascade.files.output_lock import made_by, remove_empty

    made = made_by(out)
    try:
        make_output_folder(out)
        yield
    finally:
        remove_empty(made)


@contextmanager
def locked_output(out: Path, *, what: str) -> Iterator[None]:
    """The folder, made and held for this run before any long work; gone again if it was made for nothing.

    Args:
        out: The folder.
        what: Verb that writes.

    Raises:
        OutputError: It cannot be made or written, or another run writes there.
    """
    from pancascade.files.output_lock import lock_output

    with lock_output(out, what=what):
        yield


@contextmanager
def refusals_filed(out: Path, *, scan: Path) -> Iterator[None]:
    """Why a scan is refused inside the block stands in ``refusal.json``, for machines; an option's fault does not.

    Args:
        out: Folder for it.
        scan: Which one.
    """
    try:
        yield
    except ScanError as error:
        from pancascade.results.refusal import write_refusal

        if error.code not in FAULTS_OF_OPTIONS:
            # Why the scan was refused is worth more than that nobody could be told of it by file.
            with suppress(OutputError):
                write_refusal(error, scan, out)
        raise


def require_unused(out: Path, names: Sequence[str], *, scan: Path) -> None:
    """Refuse a folder in which results would replace the scan, or files of somebody else.

    Args:
        out: Folder for the results.
        names: Of the files that are written there, or removed.
        scan: That is read.

    Raises:
        OutputError: The scan has one of these names there; or files have, and nothing shows that they are results.
    """
    from pancascade.files.replacing import require_replaceable

    require_replaceable(out, names, seals=OWN, read=[scan])


def require_unedited(out: Path, masks: Sequence[str]) -> None:
    """Refuse a folder whose mask was changed by hand since it was written, or to which a reader saved corrections.

    Args:
        out: Folder for the results.
        masks: Names of masks.

    Raises:
        OutputError: One was.
    """
    from pancascade.results.corrections import has_corrections
    from pancascade.results.result import changed_files, read_result

    if has_corrections(out):
        raise OutputError(
            f"{out}: holds corrections that a reader saved, of the result that would be replaced. Choose another --out "
            "folder."
        )
    try:
        known = read_result(out / OWN[0])
    except ScanError:  # No result, or a damaged one, that could tell.
        return
    changed = [name for name in changed_files(out, known, names=masks) if (out / name).exists()]
    if changed:
        raise OutputError(
            f"{out}: {changed[0]} was edited since it was written, and the result would replace it. Move it away, or "
            "choose another --out folder."
        )


def require_other_files(written: Mapping[str, Path | None], *, read: Sequence[Path]) -> None:
    """Refuse to write two things into one file, or over a result that is read.

    Args:
        written: Files to be written, by option; None for what is not asked for.
        read: Files of results.

    Raises:
        OutputError: They are the same.
    """
    seen = {path.resolve(): "a result that is read" for path in read}
    for option, path in written.items():
        if path is None:
            continue
        if path.resolve() in seen:
            raise OutputError(f"{option} {path}: this is also {seen[path.resolve()]}. Choose another name.")
        seen[path.resolve()] = f"the file of {option}"
