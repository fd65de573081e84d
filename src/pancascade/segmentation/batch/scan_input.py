"""One scan of a batch: its place, and its name in the results."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pancascade.files.digests import text_digest


@dataclass(frozen=True)
class ScanInput:
    """A scan to segment, known only by its names and headers.

    Attributes:
        path: File, archive, or folder of a DICOM study.
        identity: Recognises the scan in another run: its path, or a mark of its study.
        size_bytes: Size of its files.
        stamp: Digest of identity, number, size and dates of its files; it differs for another scan.
        series: DICOM series that a list gives for it.
        study: Mark of the study, if the folder holds several; None if the whole folder is this scan.
        given_name: Name in a list.
        pancreas: Mask of the pancreas in a list.
        pancreas_label: Labels of the pancreas in that mask.
        case: Name in the results; "" until it has one.
    """

    path: Path
    identity: str
    size_bytes: int
    stamp: str
    series: str | None = None
    study: str | None = None
    given_name: str | None = None
    pancreas: Path | None = None
    pancreas_label: tuple[str, ...] = ()
    case: str = ""


def of_files(
    path: Path, files: Iterable[Path], *, identity: str, series: str | None = None, study: str | None = None
) -> ScanInput:
    """Make a scan with the sizes and dates of its files; a missing file counts as empty until it is read.

    Args:
        path: Path of the scan.
        files: Files of the scan.
        identity: See `ScanInput`.
        series: See `ScanInput`.
        study: See `ScanInput`.
    """
    count, size, latest = 0, 0, 0
    for file in files:
        try:
            found = file.stat()
        except (OSError, ValueError):
            continue
        count, size, latest = count + 1, size + found.st_size, max(latest, found.st_mtime_ns)
    stamp = text_digest(repr((identity, series, count, size, latest)))[:16]
    return ScanInput(path, identity, size, stamp, series, study)
