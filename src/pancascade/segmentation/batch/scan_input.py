"""One scan of a batch: where it lies, and what it is called in the results."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pancascade.files.digests import text_digest


@dataclass(frozen=True)
class ScanInput:
    """A scan to segment, before anything of it but names and headers was read.

    Attributes:
        path: File, archive, or folder of a DICOM study.
        identity: What it is, so that two runs know it again: its path, or a mark of its study.
        size_bytes: Of its files.
        stamp: Digest of identity, number, size and dates of its files: another one means another scan.
        series: Of DICOM, the series that a list names for it.
        study: Mark of the study, where the folder holds several; None where all of it is this scan's.
        given_name: What a list calls it.
        pancreas: Mask of the pancreas that a list names for it.
        pancreas_label: What is the pancreas in that label map.
        case: What it is called in the results; "" until it has a name.
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
    """A scan with the sizes and dates of its files; a file that is missing counts as empty: reading it says so.

    Args:
        path: Of the scan.
        files: That it consists of.
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
