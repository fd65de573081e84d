"""Tumour size of each patient, for splits stratified by size."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pancascade.data.readers.case import AxialSlice, Case
from pancascade.data.readers.structure import Structure
from pancascade.data.store.extra import load_extra
from pancascade.errors import DataError, PancascadeError
from pancascade.execution.parallel import each_in_processes
from pancascade.imaging.io import read_label_map, require_spacing
from pancascade.labels import Label

NO_TUMOUR, UNKNOWN = "no tumour", "size unknown"
_BOUNDS_CM = ((2.0, "tumour under 2 cm"), (4.0, "tumour of 2 to 4 cm"), (math.inf, "tumour over 4 cm"))
STRATA = (NO_TUMOUR, *(name for _, name in _BOUNDS_CM), UNKNOWN)
"""Strata from no tumour to large tumour, then unknown."""

Progress = Callable[[int, int], None]
"""Called with the number of read cases and of all cases."""


@dataclass(frozen=True)
class CaseSize:
    """Tumour size of a case.

    Attributes:
        case: Name of the case.
        patient: Patient of the case.
        tumour_ml: Volume; 0 without tumour, None if unknown.
        trouble: Reason why it could not be read; None if it could.
    """

    case: str
    patient: str
    tumour_ml: float | None
    trouble: str | None = None


@dataclass(frozen=True)
class _SizeJob:
    case: str
    patient: str
    label: Path | None
    tumour_values: frozenset[int]
    read_slices: Callable[[], Sequence[AxialSlice]] | None


def read_tumour_sizes(cases: Sequence[Case], *, workers: int = 1, progress: Progress | None = None) -> list[CaseSize]:
    """Return the tumour volume of each case from its label map; scans are not opened.

    A label map without a tumour value in its meanings is not opened either. For single slices only the presence of a
    tumour is known. A case that cannot be read has no size and a reason.

    Args:
        cases: Cases of any reader.
        workers: Number of processes. With more than one, a script needs the usual ``if __name__ == "__main__":``.
        progress: Called after each case.

    Returns:
        Sizes in the order of the cases.
    """
    jobs = [_job(case) for case in cases]
    found: dict[str, CaseSize] = {}
    for done, (job, size) in enumerate(each_in_processes(_size_of, jobs, workers=workers), start=1):
        died = CaseSize(job.case, job.patient, None, f"{job.case}: the process that read it died.")
        found[job.case] = size or died
        if progress is not None:
            progress(done, len(jobs))
    return [found[case.name] for case in cases]


def sizes_in_store(folder: Path) -> list[CaseSize]:
    """Return the tumour volumes in ``cases.parquet`` of a prepared store; None without a value ``tumour_ml``.

    Raises:
        DataError: The table cannot be read, or has no patients.
    """
    parquet = load_extra("pyarrow.parquet")
    path = folder / "cases.parquet"
    try:
        rows = parquet.read_table(path).to_pylist()
    except (OSError, ValueError) as error:  # pyarrow's errors are subclasses of these
        raise DataError(f"{path}: not a readable table ({error}). Prepare the store again.") from error
    if not rows or "patient" not in rows[0]:
        raise DataError(f"{path}: has no column patient, or no rows. Prepare the store again.")
    name = "case" if "case" in rows[0] else "name" if "name" in rows[0] else "patient"
    return [CaseSize(str(row[name]), str(row["patient"]), finite(row.get("tumour_ml"))) for row in rows]


def size_strata(sizes: Iterable[CaseSize]) -> dict[str, str]:
    """Return the stratum of each patient: no tumour, or by the diameter of a sphere of the tumour's volume.

    The bounds, 2 and 4 cm, are those of the stages T1 to T3 of pancreatic cancer. The largest tumour of a patient's
    cases counts.

    Args:
        sizes: Sizes of the cases.

    Source: UICC TNM classification, 8th edition, for the bounds.
    """
    known: dict[str, list[float | None]] = {}
    for size in sizes:
        known.setdefault(size.patient, []).append(size.tumour_ml)
    return {patient: _stratum(volumes) for patient, volumes in known.items()}


def _stratum(volumes_ml: Sequence[float | None]) -> str:
    largest_ml = max((volume for volume in volumes_ml if volume is not None), default=0.0)
    if largest_ml == 0:
        return UNKNOWN if None in volumes_ml else NO_TUMOUR
    diameter_cm = 2 * (3 * largest_ml / (4 * math.pi)) ** (1 / 3)
    return next(name for bound, name in _BOUNDS_CM if diameter_cm < bound)


def _job(case: Case) -> _SizeJob:
    scan = case.scan
    if scan is None:
        return _SizeJob(case.name, case.patient, None, frozenset(), case.read_slices)
    values = frozenset(value for value, structure in scan.meaning.items() if structure is Structure.TUMOUR)
    return _SizeJob(case.name, case.patient, scan.label, values, None)


def _size_of(job: _SizeJob) -> CaseSize:
    try:
        return CaseSize(job.case, job.patient, _volume_ml(job))
    except PancascadeError as error:
        return CaseSize(job.case, job.patient, None, str(error))
    except (MemoryError, OSError, ValueError) as error:
        return CaseSize(job.case, job.patient, None, f"{job.label or job.case}: {type(error).__name__}: {error}.")


def _volume_ml(job: _SizeJob) -> float | None:
    if job.read_slices is not None:
        shown = any(bool((piece.labels == Label.TUMOUR).any()) for piece in job.read_slices())
        return None if shown else 0.0
    if job.label is None:
        return None
    if not job.tumour_values:
        return 0.0
    values = read_label_map(job.label)
    require_spacing(values)
    voxels = np.count_nonzero(np.isin(values.voxels, sorted(job.tumour_values)))
    return float(voxels) * values.voxel_volume_ml


def finite(value: Any) -> float | None:
    """Return a number from a table, or None for a missing or non-finite value."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
