"""A process that segments one scan after another and keeps its model; it can be stopped, and is replaced on death."""

from collections.abc import Callable
from threading import Event, Lock

from pancascade.execution import LocalProcesses
from pancascade.execution.parallel import interrupts_held
from pancascade.execution.worker_process import Reported, WorkerProcess
from pancascade.services.server.scan_work import Outcome, ScanTask

Work = Callable[[ScanTask], Outcome]

PATIENCE_S = 5
"""Seconds in which a stopped process may remove unfinished files, before it is killed."""

_STARTING = Lock()
"""Lock for the environment, which all threads share."""


class ScanProcess:
    """One process, started when it is needed.

    Args:
        work: A function of a module.
        processes: Gives the number of threads of each process.
    """

    def __init__(self, work: Work, processes: LocalProcesses) -> None:
        self._work = work
        self._processes = processes
        self._lock = Lock()
        self._process: WorkerProcess[ScanTask, Outcome] | None = None
        self._stopped = False
        self._idle = Event()
        self._idle.set()

    def run(self, task: ScanTask, *, reported: Callable[[object], None], wanted: Callable[[], bool]) -> Outcome | None:
        """Run a task, in a new process if the last one has ended.

        Args:
            task: The task.
            reported: Called with the progress reports of the work.
            wanted: Asked before the task begins, while nobody can stop it.

        Returns:
            The result of the work; None if it was not wanted, or the process died or was stopped.

        Raises:
            Exception: The error of the work.
        """
        with self._lock:
            if not wanted():
                return None
            process = self._begin(task)
            self._idle.clear()
        try:
            while isinstance(received := process.receive(), Reported):
                reported(received.message)
        finally:
            self._idle.set()
        return None if received is None else received.result()

    def stop(self) -> None:
        """End the process and its work, from another thread; it has ended when this returns."""
        with self._lock:
            process = self._process
            if process is None:
                return
            self._stopped = True
            process.stop()
        if not self._idle.wait(PATIENCE_S):
            process.kill()
            self._idle.wait()

    def close(self) -> None:
        """End the process for good; no further task follows."""
        self.stop()
        with self._lock:
            self._end()

    def _begin(self, task: ScanTask) -> WorkerProcess[ScanTask, Outcome]:
        if self._process is not None and (self._stopped or not self._process.lives):
            self._end()
        if self._process is None:
            with _STARTING, interrupts_held(), self._processes.starting():
                self._process = WorkerProcess(self._work, task)
        else:
            self._process.begin(task)
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.end()
        self._process, self._stopped = None, False
