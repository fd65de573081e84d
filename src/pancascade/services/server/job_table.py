"""All jobs of a server, in memory and on the disk, so that a server that starts again knows them."""

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
    """The jobs by their ids. Safe to use from any thread.

    Args:
        parent: Folder of all jobs, there and held.

    Attributes:
        changes: Reported of every change; its condition is re-entrant.
    """

    def __init__(self, parent: Path) -> None:
        self.changes = Changes()
        self._condition = self.changes.condition
        self._parent = parent
        self._jobs: dict[str, ServerJob] = {}
        self._last_number = 0

    def take_up(self) -> None:
        """Know the jobs of an earlier server; those that it did not end have failed.

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
        """End what waits or runs: the server is stopped."""
        for job in self.all():
            if not job.is_finished:
                self.end(job.id, Outcome("failed", reason=reason(job, "server_stopped", STOPPED)))

    def all(self) -> list[ServerJob]:
        """The latest first."""
        with self._condition:
            return sorted(self._jobs.values(), key=lambda job: -job.number)

    def __contains__(self, job_id: str) -> bool:
        with self._condition:
            return job_id in self._jobs

    def get(self, job_id: str) -> ServerJob:
        """One of them.

        Raises:
            RequestError: There is none of that id.
        """
        with self._condition:
            if job_id not in self._jobs:
                raise RequestError(404, "There is no such job. It may have been removed, or kept no longer.")
            return self._jobs[job_id]

    def folder(self, job_id: str) -> JobFolder:
        """Where its data lie.

        Raises:
            RequestError: There is none of that id.
        """
        return JobFolder(self._parent / self.get(job_id).id)

    def new_folder(self) -> JobFolder:
        """A folder for a job to come.

        Raises:
            OSError: It cannot be made.
        """
        return JobFolder.new(self._parent)

    def count_waiting(self) -> int:
        """How many wait."""
        with self._condition:
            return sum(job.state == "waiting" for job in self._jobs.values())

    def add(self, folder: JobFolder, kind: Kind, *, series: str | None) -> ServerJob:
        """A new job, whose upload lies in its folder.

        Raises:
            OutputError: It cannot be written down.
        """
        size = folder.upload(kind).stat().st_size
        with self._condition:
            job = ServerJob(
                id=folder.id, number=self._last_number + 1, kind=kind, size_bytes=size, series=series, created=_now()
            )
            folder.write(job)
            self._last_number = job.number
            self._jobs[job.id] = job
            self.changes.tell()
        return job

    def begin_next(self) -> ServerJob | None:
        """The job that has waited longest, which runs from now on; None if none waits."""
        with self._condition:
            waiting = [job for job in self._jobs.values() if job.state == "waiting"]
            if not waiting:
                return None
            job = min(waiting, key=lambda job: job.number).model_copy(update={"state": "running"})
            self._record(job)
            return job

    def set_progress(self, job_id: str, progress: JobProgress) -> None:
        """How far it is, which is not written down."""
        with self._condition:
            if job_id in self._jobs:
                self._jobs[job_id] = self._jobs[job_id].model_copy(update={"progress": progress})
                self.changes.tell()

    def end(self, job_id: str, outcome: Outcome) -> None:
        """Write down what became of a job, and remove what is no longer needed; nothing if it was removed or ended."""
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
        """Know a job no more; its data are still there."""
        with self._condition:
            self._jobs.pop(job_id, None)
            self.changes.tell()

    def wait(self, job_id: str) -> ServerJob | None:
        """Wait until a job has ended; None if it was removed."""
        with self._condition:
            self._condition.wait_for(lambda: job_id not in self._jobs or self._jobs[job_id].is_finished)
            return self._jobs.get(job_id)

    def _record(self, job: ServerJob) -> None:
        self._jobs[job.id] = job
        try:
            self.folder(job.id).write(job)
        except OutputError as error:  # it is known as long as the server runs
            logger.error("%s", error)
        self.changes.tell()


def reason(job: ServerJob, code: str, why: str) -> CodedSentence:
    """Why a job has no result.

    Args:
        job: Which.
        code: For machines.
        why: A part of a sentence, or sentences.
    """
    return CodedSentence(code=code, sentence=f"{job.name}: {why}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
