"""All jobs of a server, in memory and on disk, so that a restarted server knows them."""

import logging
from datetime import UTC, datetime
from pathlib import Path

from pancascade.errors import OutputError
from pancascade.segmentation.batch.ledger import CodedSentence
from pancascade.services.server.changes import Changes
from pancascade.services.server.faults import RequestError
from pancascade.services.server.job import JobProgress, Kind, ServerJob
from pancascade.services.server.job_folder import JobFolder, folders_in
from pancascade.services.server.scan_work import Outcome

logger = logging.getLogger(__name__)

STOPPED = "the server was stopped before it was done. Send the scan again."


class JobTable:
    """The jobs by id. Safe to use from any thread.

    Args:
        parent: Folder of all jobs; it exists and is locked.

    Attributes:
        changes: Notified of every change; its condition is re-entrant.
    """

    def __init__(self, parent: Path) -> None:
        self.changes = Changes()
        self._condition = self.changes.condition
        self._parent = parent
        self._jobs: dict[str, ServerJob] = {}
        self._last_number = 0
        self._unwritten = set[str]()

    def take_up(self) -> None:
        """Read the jobs of an earlier server; unfinished ones have failed.

        Raises:
            OSError: The folder cannot be read.
        """
        for folder in folders_in(self._parent):
            job = folder.read()
            if job is None:
                folder.remove()
                continue
            self._jobs[job.id] = job
            self._last_number = max(self._last_number, job.number)
        self.fail_unfinished()

    def fail_unfinished(self) -> None:
        """End waiting and running jobs as failed: the server is stopped."""
        for job in self.all():
            if not job.is_finished:
                self.end(job.id, Outcome("failed", reason=reason(job, "server_stopped", STOPPED)))

    def all(self) -> list[ServerJob]:
        """Return all jobs, the latest first."""
        with self._condition:
            return sorted(self._jobs.values(), key=lambda job: -job.number)

    def __contains__(self, job_id: str) -> bool:
        with self._condition:
            return job_id in self._jobs

    def get(self, job_id: str) -> ServerJob:
        """Return one job.

        Raises:
            RequestError: There is no job of that id.
        """
        with self._condition:
            if job_id not in self._jobs:
                raise RequestError(404, "There is no such job. It may have been removed, or has expired.")
            return self._jobs[job_id]

    def folder(self, job_id: str) -> JobFolder:
        """Return the folder of a job.

        Raises:
            RequestError: There is no job of that id.
        """
        return JobFolder(self._parent / self.get(job_id).id)

    def new_folder(self) -> JobFolder:
        """Make a folder for a new job.

        Raises:
            OSError: It cannot be made.
        """
        return JobFolder.new(self._parent)

    def count_waiting(self) -> int:
        """Return the number of waiting jobs."""
        with self._condition:
            return sum(job.state == "waiting" for job in self._jobs.values())

    def add(self, folder: JobFolder, kind: Kind, *, series: str | None) -> ServerJob:
        """Add a job whose upload is in its folder.

        Raises:
            OutputError: Its record cannot be written.
        """
        size = folder.upload(kind).stat().st_size
        with self._condition:
            job = ServerJob(
                id=folder.id, number=self._last_number + 1, kind=kind, size_bytes=size, series=series, created=_now()
            )
            folder.write(job)
            self._last_number = job.number
            self._jobs[job.id] = job
            self.changes.announce()
        return job

    def begin_next(self) -> ServerJob | None:
        """Mark the job that has waited longest as running, and return it; None if none waits."""
        with self._condition:
            waiting = [job for job in self._jobs.values() if job.state == "waiting"]
            if not waiting:
                return None
            job = min(waiting, key=lambda job: job.number).model_copy(update={"state": "running"})
            self._record(job)
            return job

    def set_progress(self, job_id: str, progress: JobProgress) -> None:
        """Set the progress of a job; it is not written to disk."""
        with self._condition:
            if job_id in self._jobs:
                self._jobs[job_id] = self._jobs[job_id].model_copy(update={"progress": progress})
                self.changes.announce()

    def end(self, job_id: str, outcome: Outcome) -> None:
        """Record the result of a job and remove temporary data; do nothing if it was removed or has ended."""
        with self._condition:
            if job_id not in self._jobs or self._jobs[job_id].is_finished:
                return
            folder = self.folder(job_id)
            folder.clear_scratch() if outcome.state == "done" else folder.clear_data()
            reported = {
                "state": outcome.state,
                "ended": _now(),
                "seconds": outcome.seconds or None,
                "reason": outcome.reason,
                "summary": outcome.summary,
                "progress": JobProgress(doing=outcome.state),
            }
            self._record(self._jobs[job_id].model_copy(update=reported))

    def forget(self, job_id: str) -> None:
        """Remove a job from the table; its data are not removed."""
        with self._condition:
            self._jobs.pop(job_id, None)
            self.changes.announce()

    def wait(self, job_id: str) -> ServerJob | None:
        """Wait until a job has ended; return None if it was removed."""
        with self._condition:
            self._condition.wait_for(lambda: job_id not in self._jobs or self._jobs[job_id].is_finished)
            return self._jobs.get(job_id)

    def write_missing(self) -> None:
        """Write the records that did not fit on the disk; without them the next server would fail their jobs."""
        with self._condition:
            for job_id in sorted(self._unwritten):
                if job_id in self._jobs:
                    self._write(self._jobs[job_id])
            self._unwritten &= self._jobs.keys()

    def _record(self, job: ServerJob) -> None:
        self._jobs[job.id] = job
        self._write(job)
        self.changes.announce()

    def _write(self, job: ServerJob) -> None:
        try:
            self.folder(job.id).write(job)
            self._unwritten.discard(job.id)
        except OutputError as error:  # the job is still known while the server runs
            self._unwritten.add(job.id)
            logger.error("%s", error)


def reason(job: ServerJob, code: str, why: str) -> CodedSentence:
    """Return why a job has no result.

    Args:
        job: The job.
        code: Code for programs.
        why: A part of a sentence, or sentences.
    """
    return CodedSentence(code=code, sentence=f"{job.name}: {why}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
