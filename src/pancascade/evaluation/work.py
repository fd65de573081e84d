"""Measurement of single cases in other processes, with a record file for each finished case."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pancascade.errors import PancascadeError
from pancascade.evaluation.case_measurement import measure_case
from pancascade.evaluation.pairing import Failure
from pancascade.evaluation.protocol import Protocol
from pancascade.evaluation.quantities import METRICS
from pancascade.evaluation.records import CaseRecord, Outcome
from pancascade.execution import Executor, each_job
from pancascade.files.atomic import written_whole
from pancascade.files.digests import content_digest
from pancascade.files.documents import read_json
from pancascade.imaging.io import read_volume
from pancascade.imaging.volume import Volume
from pancascade.messages.names_only import names_only

RECORD_FORMAT = 2
"""Increased whenever a record's numbers change (except for a new distance); older records are measured again."""


@dataclass(frozen=True)
class Entry:
    """One method's prediction of a case.

    Attributes:
        method: Name of the method.
        prediction: File of the label map; None counts as empty.
        confidence: File of the map of the lesions' likelihood.
        score: Likelihood that the patient has a lesion.
        record: File of the finished record.
    """

    method: str
    prediction: Path | None
    confidence: Path | None
    score: float | None
    record: Path | None


@dataclass(frozen=True)
class MeasurementJob:
    """One case with all methods, so that its reference is read once.

    Attributes:
        case: Name of the case.
        reference: File of the label map.
        patient: Patient of the scan.
        entries: The methods' predictions.
        protocol: Protocol of the measurement.
    """

    case: str
    reference: Path
    patient: str
    entries: tuple[Entry, ...]
    protocol: Protocol


def run_jobs(
    jobs: Sequence[MeasurementJob], *, workers: int, executor: Executor | None = None
) -> Iterator[dict[str, Outcome]]:
    """Yield the outcomes by method of each job, in order of completion.

    A worker that dies (e.g. out of memory) affects only its own case.

    Args:
        jobs: One job per case.
        workers: Number of processes; 1 works in the current process.
        executor: Executor of the work; None uses processes of this machine.
    """
    for job, found in each_job(do_job, jobs, workers=workers, executor=executor):
        yield _died(job) if found is None else found


def _died(job: MeasurementJob) -> dict[str, Outcome]:
    message = f"{job.reference.name}: the process that worked on this case died, probably out of memory."
    return {entry.method: Failure(job.case, message) for entry in job.entries}


def do_job(job: MeasurementJob) -> dict[str, Outcome]:
    """Return the outcomes of one case by method; an error in one method's file is that method's failure."""
    reference = cache(lambda: read_volume(job.reference))
    outcomes: dict[str, Outcome] = {}
    for entry in job.entries:
        try:
            key = _key(job, entry)
            finished = _kept(entry.record, key)
            if finished is None:
                outcomes[entry.method] = _measure(job, entry, reference(), key)
            else:  # the files may have moved since
                names = {"reference": str(job.reference), "prediction": entry.prediction and str(entry.prediction)}
                outcomes[entry.method] = finished.model_copy(update=names)
        except PancascadeError as error:
            outcomes[entry.method] = Failure(job.case, str(error))
        except (MemoryError, OSError, ValueError, ArithmeticError) as error:
            what = f"{type(error).__name__}: {names_only(str(error))}"
            message = f"{(entry.prediction or job.reference).name}: could not be compared ({what})."
            outcomes[entry.method] = Failure(job.case, message)
    return outcomes


def _measure(job: MeasurementJob, entry: Entry, reference: Volume, key: dict[str, Any]) -> CaseRecord:
    record = measure_case(
        reference,
        None if entry.prediction is None else read_volume(entry.prediction),
        case=job.case,
        patient=job.patient,
        protocol=job.protocol,
        confidence=None if entry.confidence is None else read_volume(entry.confidence),
        score=entry.score,
    )
    if entry.record is not None:
        with written_whole(entry.record) as temporary:
            named = {"reference": job.reference.name, "prediction": entry.prediction and entry.prediction.name}
            kept = record.model_copy(update=named).model_dump(mode="json")
            temporary.write_text(json.dumps({"key": key, "record": kept}))
    return record


def _key(job: MeasurementJob, entry: Entry) -> dict[str, Any]:
    """Return everything that a record depends on; files by content, because copies have new dates."""
    return {
        "format": RECORD_FORMAT,
        "distances": [key for key, metric in METRICS.items() if metric.distance is not None],
        "protocol": job.protocol.measurement(),
        "patient": job.patient,
        "score": entry.score,
        "files": [path and content_digest(path) for path in (job.reference, entry.prediction, entry.confidence)],
    }


def _kept(path: Path | None, key: dict[str, Any]) -> CaseRecord | None:
    """Return the record of an earlier run if its key is the same, else None."""
    if path is None or not path.is_file():
        return None
    try:
        kept = read_json(path)
        return CaseRecord.model_validate(kept["record"]) if kept["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None  # damaged or of an older version: the case is measured again
