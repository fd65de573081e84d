"""The service behind the server: receive scans, queue them, segment them in other processes, keep and remove them."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copyfile
from threading import Event, Thread

from pancascade.errors import OutputError, PancascadeError
from pancascade.execution import LocalProcesses
from pancascade.files.output_lock import lock_output
from pancascade.services.server import viewer_adapter
from pancascade.services.server.faults import RequestError, disk_full
from pancascade.services.server.job import JobProgress, Kind, ServerJob
from pancascade.services.server.job_folder import JobFolder
from pancascade.services.server.job_table import STOPPED, JobTable, reason
from pancascade.services.server.scan_process import ScanProcess, Work
from pancascade.services.server.scan_work import Outcome, ScanTask, segment_upload
from pancascade.services.server.server_settings import ServerSettings
from pancascade.services.server.upload_kinds import recognise, require_modest

logger = logging.getLogger(__name__)

_LOOKS_FOR_OLD_EVERY_S = 60
_RETRY_AFTER_S = 60

DIED = "the process that worked on it ended, probably for lack of memory. Send it again, or start fewer --workers."


class JobService:
    """Takes scans, has them segmented, and knows their results. Safe to use from any thread.

    Use it as a context: inside, the folder is locked, and the processes work.

    Args:
        settings: Settings of the server.
        work: What a process does with a scan; a function of a module.

    Attributes:
        settings: Settings of the server.
        jobs: All jobs.
        when_locked: Called once the folder is this server's alone.
        every_minute: Called now and then while the server runs.
    """

    def __init__(self, settings: ServerSettings, *, work: Work = segment_upload) -> None:
        self.settings = settings
        self.jobs = JobTable(settings.jobs)
        self._condition = self.jobs.changes.condition
        self._receiving = 0
        self._running: dict[str, ScanProcess] = {}
        self._closing = Event()
        processes = LocalProcesses(settings.workers)
        self._processes = [ScanProcess(work, processes) for _ in range(settings.workers)]
        self._stack = ExitStack()
        self.when_locked: list[Callable[[], object]] = []
        self.every_minute: list[Callable[[], object]] = [self._remove_old, self.jobs.write_missing]

    def __enter__(self) -> "JobService":
        with ExitStack() as stack:
            stack.enter_context(lock_output(self.settings.folder, what="pancascade serve", option="--folder"))
            try:
                self.settings.jobs.mkdir(mode=0o700, exist_ok=True)
                self.jobs.take_up()
                for prepare in self.when_locked:
                    prepare()
            except OSError as error:
                raise _unwritable("--folder", error) from error
            if self.settings.corrections is not None:
                try:
                    viewer_adapter.prepare_corrections(self.settings.corrections)
                except OSError as error:
                    raise _unwritable("--corrections", error) from error
            threads = [Thread(target=self._work_off, args=(process,), daemon=True) for process in self._processes]
            threads.append(Thread(target=self._look_after, daemon=True))
            for process in self._processes:
                stack.callback(process.close)
            for thread in threads:
                stack.callback(thread.join)
                thread.start()
            stack.callback(self.stop)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def stop(self) -> None:
        """Begin to end: stop running work, refuse new scans, and inform listeners."""
        with self._condition:
            self._closing.set()
            running = list(self._running.values())
            self.jobs.changes.announce()
        for process in running:
            process.stop()
        self.jobs.fail_unfinished()
        self.jobs.write_missing()

    @property
    def is_closing(self) -> bool:
        """Whether the server is about to end."""
        return self._closing.is_set()

    @contextmanager
    def place(self) -> Iterator[JobFolder]:
        """Reserve a place in the queue for an incoming scan; its folder is removed unless the scan is submitted.

        Raises:
            RequestError: The queue is full, or nothing can be written.
        """
        with self._condition:
            waiting = self.jobs.count_waiting() + self._receiving
            if self.is_closing or waiting >= self.settings.queue:
                what = "The server is about to end" if self.is_closing else f"The queue is full: {waiting} scans wait"
                raise RequestError(503, f"{what}. Try again later.", headers={"Retry-After": str(_RETRY_AFTER_S)})
            self._receiving += 1
        folder = None
        try:
            try:
                folder = self.jobs.new_folder()
            except OSError as error:
                raise disk_full() from error
            yield folder
        finally:
            with self._condition:
                self._receiving -= 1
                submitted = folder is not None and folder.id in self.jobs
            if folder is not None and not submitted:
                folder.remove()

    def submit(self, folder: JobFolder, kind: Kind, *, series: str | None = None) -> ServerJob:
        """Queue a scan whose upload is in a reserved folder.

        Args:
            folder: Folder by `place`; the upload is `folder.upload(kind)`.
            kind: Kind of the upload.
            series: DICOM series to use.

        Raises:
            OutputError: Its record cannot be written.
        """
        return self.jobs.add(folder, kind, series=series)

    def segment_scan(self, scan: Path, *, series: str | None = None) -> Path:
        """Segment a scan on this computer as an ordinary job; return when it is done.

        Args:
            scan: File; it is copied.
            series: DICOM series to use.

        Returns:
            The folder of results; it exists until the job is removed.

        Raises:
            PancascadeError: The queue is full, the file is no scan, or there is no result; the sentence says why.
        """
        with self.place() as folder:
            kind = recognise(scan)
            require_modest(scan, kind, most_bytes=self.settings.max_unpacked_bytes)
            copyfile(scan, folder.upload(kind))
            job = self.submit(folder, kind, series=series)
        ended = self.jobs.wait(job.id)
        if ended is None or ended.state != "done":
            why = None if ended is None else ended.reason
            raise PancascadeError(f"{job.name}: it was removed. Send it again." if why is None else why.sentence)
        return self.jobs.folder(job.id).result

    def remove(self, job_id: str) -> None:
        """Stop the work on a job, if there is any, and remove all its data; it is removed when this returns.

        Raises:
            RequestError: There is no job of that id.
        """
        folder = self.jobs.folder(job_id)
        with self._condition:
            self.jobs.forget(job_id)
            process = self._running.get(job_id)
        if process is not None:
            process.stop()
        folder.remove()

    def remove_ended_before(self, moment: datetime) -> None:
        """Remove jobs that ended before a moment.

        Args:
            moment: Time, UTC.
        """
        for job in self.jobs.all():
            if job.ended is not None and datetime.fromisoformat(job.ended) < moment:
                try:
                    self.remove(job.id)
                except RequestError:  # it was removed meanwhile
                    continue

    def _work_off(self, process: ScanProcess) -> None:
        while (job := self._next(process)) is not None:
            outcome = self._run(job, process)
            with self._condition:
                del self._running[job.id]
                self.jobs.end(job.id, outcome)

    def _next(self, process: ScanProcess) -> ServerJob | None:
        """Return the next job, assigned to a process; None when the server ends."""
        with self._condition:
            self._condition.wait_for(lambda: self.is_closing or self.jobs.count_waiting())
            job = None if self.is_closing else self.jobs.begin_next()
            if job is not None:
                self._running[job.id] = process
            return job

    def _run(self, job: ServerJob, process: ScanProcess) -> Outcome:
        def reported(message: object) -> None:
            if isinstance(message, JobProgress):
                self.jobs.set_progress(job.id, message)

        def wanted() -> bool:
            return not self.is_closing and job.id in self.jobs

        folder = JobFolder(self.settings.jobs / job.id)
        task = ScanTask(folder.path, folder.upload(job.kind), job.name, job.series, self.settings.options)
        try:
            outcome = process.run(task, reported=reported, wanted=wanted)
        except Exception as error:  # the thread must not end
            logger.error("%s: unexpected %s in a worker.", job.name, type(error).__name__)
            outcome = None
        if outcome is not None:
            return outcome
        code, why = ("server_stopped", STOPPED) if self.is_closing else ("process_died", DIED)
        return Outcome("failed", reason=reason(job, code, why))

    def _look_after(self) -> None:
        while not self._closing.wait(_LOOKS_FOR_OLD_EVERY_S):
            for look in self.every_minute:
                try:
                    look()
                except Exception as error:  # the thread must not end
                    logger.error("Unexpected %s while looking for old data.", type(error).__name__)

    def _remove_old(self) -> None:
        if self.settings.keep_hours is not None:
            self.remove_ended_before(datetime.now(UTC) - timedelta(hours=self.settings.keep_hours))


def _unwritable(option: str, error: OSError) -> OutputError:
    why = (error.strerror or type(error).__name__).lower()
    return OutputError(f"{option}: cannot be written ({why}). Choose another one.")
