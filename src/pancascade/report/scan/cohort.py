"""Many results, found in folders and read: a row each."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import Field

from pancascade.errors import PancascadeError
from pancascade.files.documents import read_json
from pancascade.messages.names_only import DICOM_FOLDER, names_only, public_name
from pancascade.report.scan.result_numbers import organ_ml, tumour_ml, warnings_of
from pancascade.results.refusal import NAME as REFUSAL
from pancascade.results.result import NAME, Result, place_of, read_result, require_whole
from pancascade.settings import Settings

REPORT = "report.html"

FILES_OF_RESULTS = (NAME, REFUSAL, REPORT)
"""What a page or table may not replace."""


class CohortRow(Settings):
    """One scan's line.

    Attributes:
        scan: Its file's name.
        folder: Of its result; pages and tables show its own name alone.
        model: Name of the model.
        created: UTC, ISO 8601.
        pancreas_ml: With tumours.
        tumour_ml: Of all that is marked as tumour.
        lesions: How many.
        largest_mm: Longest diameter of any lesion in an axial slice; None without lesions.
        suspicion: Of tumour; None where it was not computed.
        location_confidence: None where it is not known.
        warnings: Code and sentence of each; a sentence without a notice has the code ``other``.
        grid: Voxels and their size, such as "512 × 512 × 240, 0.70 × 0.70 × 1.00 mm"; nothing of a patient.
    """

    scan: str
    folder: Path
    model: str
    created: str
    pancreas_ml: float
    tumour_ml: float
    lesions: int
    largest_mm: float | None
    suspicion: float | None
    location_confidence: float | None
    warnings: tuple[tuple[str, str], ...] = ()
    grid: str = ""


class Unreadable(NamedTuple):
    """A path without a usable result, or of a refused scan, and why."""

    path: Path
    reason: str


class Cohort(Settings):
    """What was read.

    Attributes:
        rows: In the order found.
        unreadable: Paths that hold no usable result.
    """

    rows: tuple[CohortRow, ...]
    unreadable: tuple[Unreadable, ...] = Field(default=())


def find_results(paths: Sequence[Path]) -> tuple[list[Path], list[Unreadable]]:
    """Files named ``result.json`` in folders and the folders below them, each once; hidden folders are left out.

    Args:
        paths: Folders, or files of results.

    Returns:
        The files, sorted within each path; and the paths that hold none, refused scans among them. A folder counts
        once: where a refusal lies beside a result, it is the newer of the two, since a new result removes it.
    """
    found: dict[Path, Path] = {}
    without: list[Unreadable] = []
    for path in map(Path, paths):
        files = [path] if path.is_file() else sorted(_walk(path))
        found.update({file.resolve(): file for file in files if file.resolve() not in found})
        if not path.exists():
            without.append(Unreadable(path, f"{path.name}: no such folder or file. Check the path."))
        elif not files:
            reason = f"{path.resolve().name}: no {NAME} in it or below. Give folders of segmented scans."
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
    """Why a scan was refused, as `pancascade segment` wrote it down."""
    try:
        sentence = read_json(file)["sentence"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        sentence = "the reason cannot be read. Segment the scan again."
    earlier = " The result beside it is of an earlier run." if (file.parent / NAME).exists() else ""
    return f"{place_of(file)}: the scan was refused. {names_only(str(sentence), folder=DICOM_FOLDER)}{earlier}"


def read_cohort(paths: Sequence[Path], *, progress: Callable[[int, int], None] | None = None) -> Cohort:
    """Read all results; one that cannot be used is listed and costs no other.

    Args:
        paths: Folders, searched with those below them, or files of results.
        progress: Called with how many are done, of how many.
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
        suspicion=result.tumour_score,
        location_confidence=None if result.location is None else result.location.confidence,
        warnings=tuple(reported),
        grid=_spell_grid(result),
    )


def _spell_grid(result: Result) -> str:
    steps = np.linalg.norm(np.array(result.grid.affine)[:3, :3], axis=0)
    sizes, spacing = (" × ".join(parts) for parts in (map(str, result.grid.shape), (f"{step:.2f}" for step in steps)))
    return f"{sizes}, {spacing} mm"
