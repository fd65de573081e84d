"""Warnings about files of a DICOM series that are not read."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pancascade.imaging.io.dicom.kinds import LOCALIZER
from pancascade.imaging.io.dicom.search import Series
from pancascade.messages.notices import Notice


def damaged_files(files: Sequence[Path], source: Path) -> Iterator[Notice]:
    """Yield a warning about DICOM files that are empty or have a damaged header."""
    if files:
        were = "file was" if len(files) == 1 else "files were"
        yield _left_out(files, f"{source}: {len(files)} damaged DICOM {were} left out", advice="Copy the series again.")


def other_kinds(series: Sequence[Series], chosen: Series, source: Path) -> Iterator[Notice]:
    """Yield a warning about images of the chosen series that have another kind by their own headers.

    One damaged attribute of a slice makes it another kind. Localizers have another size, or are said to be localizers.
    """
    size = (chosen.rows, chosen.columns)
    others = [each for each in series if each.uid == chosen.uid and each.kind not in (chosen.kind, LOCALIZER)]
    files = sorted(file for each in others if (each.rows, each.columns) == size for file in each.files)
    if files:
        are = "image of the series is" if len(files) == 1 else "images of the series are"
        what = f"{source}: {len(files)} {are} no CT by the header and left out"
        yield _left_out(files, what, advice="Check the series.")


def _left_out(files: Sequence[Path], what: str, *, advice: str) -> Notice:
    return Notice(
        code="files_left_out",
        about="input",
        sentence=f"{what}, the first is {files[0].name}; slices at an end may be missing. {advice}",
        values={"files": len(files)},
    )
