"""The folder or files that a verb writes: tried before any long work, and never over what the user gave or owns."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pancascade.errors import OutputError, ScanError

OWN = ("result.json", "refusal.json")
"""What shows that a folder is one of results."""


def claim_folder(out: Path) -> None:
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
def claimed(out: Path, *, scan: Path | None = None) -> Iterator[None]:
    """The folder, made and tried before any long work; gone again if it was made for nothing.

    Args:
        out: The folder.
        scan: Why it was refused stands in ``refusal.json``, for machines; None writes no such file.

    Raises:
        OutputError: It cannot be made or written.
    """
    made = not out.exists()
    claim_folder(out)
    try:
        yield
    except BaseException as error:
        if isinstance(error, ScanError) and scan is not None:
            from pancascade.report.refusal import write_refusal

            # Why the scan was refused is worth more than that nobody could be told of it by file.
            with suppress(OutputError):
                write_refusal(error, scan, out)
        with suppress(OSError):
            if made and not any(out.iterdir()):
                out.rmdir()
        raise


def require_free(out: Path, names: Sequence[str], *, scan: Path) -> None:
    """Refuse a folder in which results would replace the scan, or files of somebody else.

    Args:
        out: Folder for the results.
        names: Of the files that are written there, or removed.
        scan: That is read.

    Raises:
        OutputError: The scan has one of these names there; or files have, and nothing shows that they are results.
    """
    there = [name for name in names if (out / name).exists()]
    if any((out / name).samefile(scan) for name in there if scan.exists()):
        raise OutputError(f"{out}: the result would replace the scan itself, {scan}. Choose another --out folder.")
    if there and not any((out / name).exists() for name in OWN):
        raise OutputError(
            f"{out}: holds {' and '.join(there)} without a result.json, so it may be somebody else's work, which the "
            "result would replace. Move it away, or choose another --out folder."
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
