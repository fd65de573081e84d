"""The work on one case, done in other processes, kept in a file when it is finished."""

import hashlib
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from glob import escape
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pancascade.errors import PancascadeError
from pancascade.evaluation.case import measure_case
from pancascade.evaluation.pairing import Failure
from pancascade.evaluation.protocol import Protocol
from pancascade.evaluation.records import CaseRecord, Outcome
from pancascade.io import read_volume, written_whole
from pancascade.volume import Volume

RECORD_FORMAT = 1
"""Raised whenever a record's numbers would differ; older ones are then computed anew."""


@dataclass(frozen=True)
class Entry:
    """One method's prediction of a case.

    Attributes:
        method: Name.
        prediction: Label map; None counts as empty.
        confidence: Map of the lesions' likelihood.
        score: Likelihood that the patient has a lesion.
        record: Where the finished record is kept.
    """

    method: str
    prediction: Path | None
    confidence: Path | None
    score: float | None
    record: Path | None


@dataclass(frozen=True)
class Job:
    """One case of all methods, so that its reference is read once.

    Attributes:
        case: Name.
        reference: Label map.
        patient: Whose scan it is.
        entries: The methods' predictions.
        protocol: How they are measured.
    """

    case: str
    reference: Path
    patient: str
    entries: tuple[Entry, ...]
    protocol: Protocol


def run_jobs(jobs: Sequence[Job], *, workers: int) -> Iterator[dict[str, Outcome]]:
    """Outcomes by method of each job, as they are finished.

    A worker that dies (out of memory, say) costs its own case only.

    Args:
        jobs: One a case.
        workers: Processes; 1 works in this one.
    """
    if workers <= 1 or len(jobs) <= 1:
        yield from map(do_job, jobs)
        return
    left = {job.case: job for job in jobs}
    try:
        for job, found in _in_pool(list(left.values()), workers):
            del left[job.case]
            yield found
    except BrokenProcessPool:
        # Nobody knows which case killed its worker: do the rest one by one, each in a process of its own.
        for job in left.values():
            try:
                yield from (found for _, found in _in_pool([job], 1))
            except BrokenProcessPool:
                message = f"{job.reference}: the process that worked on this case died, probably out of memory."
                yield {entry.method: Failure(job.case, message) for entry in job.entries}


def _in_pool(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, dict[str, Outcome]]]:
    # Forked workers could inherit a lock that a progress bar's thread holds; spawned ones start clean.
    pool = ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn"), initializer=_ignore_interrupts)
    try:
        with _interrupts_held():
            waiting = {pool.submit(_do_job_as_worker, job): job for job in jobs}
        for future in as_completed(waiting):
            yield waiting[future], future.result()
    finally:
        # Without waiting, a pool that is collected too soon forgets to cancel, and leaves its processes behind.
        with _interrupts_held():
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Put Ctrl-C off, here and in processes started here."""
    if sys.platform == "win32":
        yield
        return
    heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, heard)


def _ignore_interrupts() -> None:
    """Between two cases: whoever died while sending a result would leave the parent waiting for the rest of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _do_job_as_worker(job: Job) -> dict[str, Outcome]:
    """`do_job`; Ctrl-C clears away a half-written record, then ends the process without a traceback."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return do_job(job)
    except KeyboardInterrupt:
        os._exit(1)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def do_job(job: Job) -> dict[str, Outcome]:
    """Outcome of one case by method; an error of one method's file is that method's failure."""
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
            message = f"{entry.prediction or job.reference}: could not be compared ({type(error).__name__}: {error})."
            outcomes[entry.method] = Failure(job.case, message)
    return outcomes


def _measure(job: Job, entry: Entry, reference: Volume, key: dict[str, Any]) -> CaseRecord:
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
            temporary.write_text(json.dumps({"key": key, "record": record.model_dump(mode="json")}))
    return record


def _key(job: Job, entry: Entry) -> dict[str, Any]:
    """All that a record depends on: files by their content, for copies have new dates and the same numbers."""
    return {
        "format": RECORD_FORMAT,
        "protocol": job.protocol.measurement(),
        "patient": job.patient,
        "score": entry.score,
        "files": [path and _digest(path) for path in (job.reference, entry.prediction, entry.confidence)],
    }


def _digest(path: Path) -> str:
    # .mhd and .nhdr files keep their voxels in a second file of the same name.
    parts = [path]
    if path.suffix.lower() in (".mhd", ".nhdr"):
        parts = sorted(part for part in path.parent.glob(f"{escape(path.stem)}.*") if part.is_file())
    digest = hashlib.blake2b(digest_size=16)
    try:
        for part in parts:
            with part.open("rb") as file:
                digest.update(hashlib.file_digest(file, "blake2b").digest())
    except OSError:
        return "unreadable"  # read_volume says why
    return digest.hexdigest()


def _kept(path: Path | None, key: dict[str, Any]) -> CaseRecord | None:
    """The record of an earlier run, if it was made from the same files in the same way."""
    if path is None or not path.is_file():
        return None
    try:
        kept = json.loads(path.read_text())
        return CaseRecord.model_validate(kept["record"]) if kept["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None  # damaged or of an older version: measure again
