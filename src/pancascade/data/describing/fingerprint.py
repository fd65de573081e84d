"""The fingerprint of a data set: measurements of all cases, in parallel, and summaries of the whole and its parts."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pancascade.data.describing.case_fingerprint import CaseFingerprint, MeasuredCase, measure_case
from pancascade.data.describing.case_groups import CaseGroup, Gathered
from pancascade.data.readers import Case
from pancascade.data.readers.reading_key import MISSING, reading_key
from pancascade.errors import DataError, OutputError, PancascadeError, with_first_reason
from pancascade.execution.parallel import each_in_processes
from pancascade.files.atomic import written_whole
from pancascade.files.digests import UNREADABLE
from pancascade.files.documents import read_json
from pancascade.settings import Settings

RECORD_FORMAT = 1
"""Increased whenever a record's numbers change; cases with older records are measured again."""

WHOLE, NO_PART = "all", "in no part"
"""Names of the group of all cases, and of the cases whose patient is in no part."""

Progress = Callable[[int, int], None]
"""Called with the number of finished cases and of all cases."""


class UnmeasuredCase(Settings):
    """A case that could not be measured, and the reason."""

    case: str
    message: str


class Fingerprint(Settings):
    """Measurements of a data set.

    Attributes:
        cases: Sorted by name.
        failures: Cases that could not be measured, sorted by name; they are in no summary.
        groups: All cases first, then the parts of a split.
    """

    cases: tuple[CaseFingerprint, ...]
    failures: tuple[UnmeasuredCase, ...]
    groups: tuple[CaseGroup, ...]


@dataclass(frozen=True)
class _FingerprintJob:
    case: Case
    record: Path | None


def fingerprint(
    cases: Sequence[Case],
    *,
    parts: Mapping[str, frozenset[str]] | None = None,
    records: Path | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Fingerprint:
    """Measure every case of a data set and summarise the measurements.

    Args:
        cases: Cases of any layout.
        parts: Patients of each part of a split, summarised in addition to the whole; None: only the whole.
        records: Folder with records of finished cases, so that a second run only measures the rest; None: no records.
        workers: Number of processes. With more than one, a script needs the usual ``if __name__ == "__main__":``.
        progress: Called after each case.

    Raises:
        DataError: There are no cases, none could be measured, or the split belongs to another data set.
        OutputError: The records cannot be written.
    """
    if not cases:
        raise DataError("There are no cases to describe. Give the folder of a data set that has some.")
    if parts and not {case.patient for case in cases} & frozenset().union(*parts.values()):
        raise DataError("No case belongs to a patient of the split. Is it another data set's?")
    jobs = [_FingerprintJob(case, None if records is None else records / f"{case.name}.json") for case in cases]
    whole = Gathered()
    gathered: dict[str, Gathered] = {part: Gathered() for part in (*(parts or {}), *([NO_PART] if parts else []))}
    failures = []
    if progress is not None:
        progress(0, len(jobs))
    for done, outcome in enumerate(_outcomes(jobs, workers=workers), start=1):
        if isinstance(outcome, MeasuredCase):
            whole.add(outcome)
            if parts:
                gathered[_part_of(outcome.fingerprint.patient, parts)].add(outcome)
        else:
            failures.append(outcome)
        if progress is not None:
            progress(done, len(jobs))
    failures.sort(key=lambda failure: failure.case)
    if not whole.cases:
        raise DataError(with_first_reason("No case could be measured.", failures[0].message))
    groups = {WHOLE: whole, **{name: found for name, found in gathered.items() if found.cases}}
    return Fingerprint(
        cases=tuple(whole.sorted_cases()),
        failures=tuple(failures),
        groups=tuple(found.summed_up(name) for name, found in groups.items()),
    )


def _part_of(patient: str, parts: Mapping[str, frozenset[str]]) -> str:
    return next((part for part, patients in parts.items() if patient in patients), NO_PART)


def _outcomes(jobs: Sequence[_FingerprintJob], *, workers: int) -> Iterator[MeasuredCase | UnmeasuredCase]:
    for job, found in each_in_processes(_do, jobs, workers=workers):
        if found is None:
            message = f"{job.case.name}: the process that worked on this case died, probably out of memory."
            yield UnmeasuredCase(case=job.case.name, message=message)
        else:
            yield found


def _do(job: _FingerprintJob) -> MeasuredCase | UnmeasuredCase:
    """Measure a case, or return its record; any error of its files becomes an `UnmeasuredCase`.

    Raises:
        OutputError: The record cannot be written.
    """
    try:
        key = None if job.record is None else _key(job.case)
        kept = _kept(job.record, key)
        if kept is not None:
            return kept
        measured = measure_case(job.case)
        if job.record is not None and key is not None:
            with written_whole(job.record) as temporary:
                temporary.write_text(json.dumps({"key": key, "record": measured.model_dump(mode="json")}))
        return measured
    except OutputError:  # no fault of the case
        raise
    except PancascadeError as error:
        return UnmeasuredCase(case=job.case.name, message=str(error))
    except (MemoryError, OSError, ValueError, ArithmeticError) as error:
        message = f"{job.case.name}: could not be measured ({type(error).__name__}: {error})."
        return UnmeasuredCase(case=job.case.name, message=message)


def _key(case: Case) -> dict[str, Any] | None:
    """Return everything that a case's measurements depend on; None if a file cannot be read."""
    key = reading_key(case)
    if not key["files"] or {UNREADABLE, MISSING} & set(key["files"]):
        return None
    return {"format": RECORD_FORMAT, "case": [case.name, case.patient, case.source], **key}


def _kept(path: Path | None, key: dict[str, Any] | None) -> MeasuredCase | None:
    """Return the record of an earlier run if its key is the same, else None."""
    if path is None or key is None or not path.is_file():
        return None
    try:
        kept = read_json(path)
        return MeasuredCase.model_validate(kept["record"]) if kept["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None  # damaged or of an older version: the case is measured again
