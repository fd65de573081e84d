"""Find the studies in a tree of DICOM files by their headers, wherever their files are."""

import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from pancascade.errors import ScanError
from pancascade.files.digests import text_digest
from pancascade.files.file_names import READABLE_SUFFIXES
from pancascade.imaging.io.dicom.dicom_files import dicom_files
from pancascade.imaging.io.dicom.search import Search, Series, search
from pancascade.imaging.io.dicom.series import choose_series, read_series
from pancascade.imaging.volume import Volume
from pancascade.segmentation.batch.scan_input import ScanInput, of_files


def find_studies(root: Path, *, leave_out: Path | None = None) -> list[ScanInput]:
    """Find every DICOM study at or below a folder; each is one scan.

    Args:
        root: A folder. Its subfolders are searched one after another, so that only one's headers are in memory.
        leave_out: A folder to skip, such as the one for the results.

    Returns:
        Scans sorted by path. A folder with only damaged DICOM files counts as a study, so that it is reported.

    Raises:
        UnreadableError: A folder or file may not be read.
    """
    files: defaultdict[str, list[Path]] = defaultdict(list)
    folders: defaultdict[str, set[str]] = defaultdict(set)
    for part in _parts(root, leave_out):
        found = search(part)
        for series in found.series:
            kept = [file for file in series.files if not _is_below(file, leave_out)]
            if kept:
                key = study_mark(series)
                files[key] += kept
                folders[key].update(str(file.parent) for file in kept)
        for folder in _lost_folders(found, leave_out):
            files[str(folder)] += [file for file in found.left_out if file.parent == folder]
            folders[str(folder)].add(str(folder))
    alone = _alone(folders)
    return sorted(
        (
            of_files(place, files[key], identity=key, study=None if key in alone else key)
            for key, place in ((key, Path(os.path.commonpath(names))) for key, names in folders.items())
        ),
        key=lambda scan: (str(scan.path), scan.identity),
    )


def study_mark(series: Series) -> str:
    """Return a mark of a series' study; without a study UID, studies are distinguished by folder."""
    return text_digest(repr((series.study_uid or str(series.files[0].parent), series.patient)))


def read_study(place: Path, study: str, *, wanted: str | None = None, keep_on_disk: bool = False) -> tuple[Volume, str]:
    """Read the CT of one study in a folder that holds several.

    Args:
        place: The folder.
        study: Mark of the study.
        wanted: See `choose_series`.
        keep_on_disk: See `read_volume`.

    Returns:
        The scan, with the folder as its source; and the UID of its series.

    Raises:
        ScanError: See `choose_series` and `read_series`.
    """
    of_study = [series for series in _searched(place).series if study_mark(series) == study]
    chosen = choose_series(of_study, wanted=wanted)
    return read_series(chosen, keep_on_disk=keep_on_disk), chosen.uid


@lru_cache(maxsize=1)
def _searched(place: Path) -> Search:
    """Search a folder once for the scans that follow one another."""
    return search(place)


def _parts(root: Path, leave_out: Path | None) -> list[Path]:
    """Return the subfolders, if all DICOM files are in them; else the folder itself."""
    entries = sorted(entry for entry in root.iterdir() if not entry.name.startswith(".") or not entry.is_dir())
    below = [entry for entry in entries if entry.is_dir() and not _is_below(entry, leave_out)]
    loose = [entry for entry in entries if entry.is_file() and not entry.name.lower().endswith(READABLE_SUFFIXES)]
    return [root] if any(_is_dicom(file) for file in loose) else below


def _is_dicom(file: Path) -> bool:
    try:
        return any(dicom_files(file))
    except ScanError:  # reading it will report the fault
        return True


def _lost_folders(found: Search, leave_out: Path | None) -> Iterator[Path]:
    """Yield folders with DICOM files of which none can be read."""
    whole = {file.parent for series in found.series for file in series.files}
    lost = {file.parent for file in found.left_out if not _is_below(file, leave_out)}
    yield from sorted(lost - whole)


def _alone(folders: dict[str, set[str]]) -> set[str]:
    """Return studies without files of another study at or below the folder that holds all their files."""
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for key, names in folders.items():
        for name in names:
            owners[name + os.sep].add(key)
    ordered = sorted(owners)
    return {key for key, names in folders.items() if _only(key, os.path.commonpath(names) + os.sep, ordered, owners)}


def _only(key: str, place: str, ordered: Sequence[str], owners: dict[str, set[str]]) -> bool:
    return all(owners[name] == {key} for name in _starting_with(place, ordered))


def _starting_with(place: str, ordered: Sequence[str]) -> Iterable[str]:
    for index in range(bisect_left(ordered, place), len(ordered)):
        if not ordered[index].startswith(place):
            return
        yield ordered[index]


def _is_below(path: Path, folder: Path | None) -> bool:
    return folder is not None and path.absolute().is_relative_to(folder)
