"""Many results, found in folders and read: a row each."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import Field

from pancascade.errors import PancascadeError
from pancascade.files.documents import read_json
from pancascade.files.given_paths import real_path
from pancascade.messages.names_only import DICOM_FOLDER, names_only, public_name
from pancascade.report.scan.result_numbers import organ_ml, tumour_ml, warnings_of
from pancascade.results.refusal import NAME as REFUSAL
from pancascade.results.result import NAME, Result, place_of, read_result
from pancascade.results.result_files import require_whole
from pancascade.settings import Settings

REPORT = "report.html"

FILES_OF_RESULTS = (NAME, REFUSAL, REPORT)
"""Files that a page or table may not replace."""


class CohortRow(Settings):
    """The row of one scan.

    Attributes:
        scan: Name of its file.
        folder: Folder of its result; pages and tables show only its own name.
        model: Name of the model.
        created: UTC, ISO 8601.
        pancreas_ml: Volume with tumours.
        tumour_ml: Volume of all that is marked as tumour.
        lesions: Number of lesions.
        largest_mm: Longest diameter of any lesion in an axial slice; None without lesions.
        tumour_score: Tumour score; None where it was not computed.
        location_confidence: Confidence of the location; None where it is not known.
        warnings: Code and sentence of each warning; a sentence without a notice has the code ``other``.
        grid: Voxels and their size, such as "512 × 512 × 240, 0.70 × 0.70 × 1.00 mm"; nothing of a patient.
        acquisition: Of DICOM, such as "abdomen, with contrast, 120 kV, 3 mm, B30f, Siemens"; "" where it is not known.
    """

    scan: str
    folder: Path
    model: str
    created: str
    pancreas_ml: float
    tumour_ml: float
    lesions: int
    largest_mm: float | None
    tumour_score: float | None
    location_confidence: float | None
    warnings: tuple[tuple[str, str], ...] = ()
    grid: str = ""
    acquisition: str = ""


class Unreadable(NamedTuple):
    """A path without a usable result, or of a refused scan, with the reason."""

    path: Path
    reason: str


class Cohort(Settings):
    """The results of a cohort.

    Attributes:
        rows: Rows in the order found.
        unreadable: Paths without a usable result.
    """

    rows: tuple[CohortRow, ...]
    unreadable: tuple[Unreadable, ...] = Field(default=())


def find_results(paths: Sequence[Path]) -> tuple[list[Path], list[Unreadable]]:
    """Find files named ``result.json`` in folders and their subfolders, each once; hidden folders are left out.

    Args:
        paths: Folders, or files of results.

    Returns:
        The files, sorted within each path; and the paths without results, including refused scans. A folder counts
        once: a refusal beside a result is newer, since a new result removes it.
    """
    found: dict[Path, Path] = {}
    without: list[Unreadable] = []
    for path in map(Path, paths):
        files = [path] if path.is_file() else sorted(_walk(path))
        found.update({real_path(file): file for file in files if real_path(file) not in found})
        if not path.exists():
            without.append(Unreadable(path, f"{path.name}: no such folder or file. Check the path."))
        elif not files:
            reason = f"{real_path(path).name}: no {NAME} in it or below. Give folders of segmented scans."
            without.append(Unreadable(path, reason))
    refused = {place: file for place, file in found.items() if file.name == REFUSAL}
    older = {place.parent for place in refused}
    without = [*(Unreadable(file, _refused(file)) for file in refused.values()), *without]
    return [file for place, file in found.items() if place not in refused and place.parent not in older], without


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(root) / name for name in (NAME, REFUSAL) if name in files)


def _refused(file: Path) -> str:
    """Return why a scan was refused, from its ``refusal.json``."""
    try:
        sentence = read_json(file)["sentence"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        sentence = "the reason cannot be read. Segment the scan again."
    earlier = " The result beside it is of an earlier run." if (file.parent / NAME).exists() else ""
    return f"{place_of(file)}: the scan was refused. {names_only(str(sentence), folder=DICOM_FOLDER)}{earlier}"


def read_cohort(paths: Sequence[Path], *, progress: Callable[[int, int], None] | None = None) -> Cohort:
    """Read all results; one that cannot be used is listed, and the others are read.

    Args:
        paths: Folders, searched with their subfolders, or files of results.
        progress: Called with the number of read results and the total.
    """
    files, unreadable = find_results(paths)
    rows = []
    for done, file in enumerate(files, start=1):
        try:
            result = read_result(file)
            require_whole(file.parent, result)
            rows.append(_row(file, result))
        except PancascadeError as error:
            unreadable.append(Unreadable(file, str(error)))
        if progress is not None:
            progress(done, len(files))
    return Cohort(rows=tuple(rows), unreadable=tuple(unreadable))


def _row(file: Path, result: Result) -> CohortRow:
    lesions = result.pancreas_and_lesions.lesions
    reported = [
        ("other", entry) if isinstance(entry, str) else (entry.code, entry.sentence) for entry in warnings_of(result)
    ]
    return CohortRow(
        scan=public_name(result.scan),
        folder=file.parent,
        model=result.model,
        created=result.created,
        pancreas_ml=organ_ml(result),
        tumour_ml=tumour_ml(result),
        lesions=len(lesions),
        largest_mm=max((lesion.diameters.long_mm for lesion in lesions), default=None),
        tumour_score=result.tumour_score,
        location_confidence=None if result.location is None else result.location.confidence,
        warnings=tuple(reported),
        grid=_spell_grid(result),
        acquisition="" if result.acquisition is None else str(result.acquisition),
    )


def _spell_grid(result: Result) -> str:
    steps = np.linalg.norm(np.array(result.grid.affine)[:3, :3], axis=0)
    sizes, spacing = (" × ".join(parts) for parts in (map(str, result.grid.shape), (f"{step:.2f}" for step in steps)))
    return f"{sizes}, {spacing} mm"
