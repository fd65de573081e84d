"""A process that segments one scan after another and keeps its model; it can be stopped, and is replaced if it dies."""

from collections.abc import Callable
from threading import Event, Lock

from pancascade.execution import LocalProcesses
from pancascade.execution.parallel import interrupts_held
from pancascade.execution.worker_process import Reported, WorkerProcess
from pancascade.services.server.scan_work import Outcome, ScanTask

Work = Callable[[ScanTask], Outcome]

PATIENCE_S = 5
"""Time in which a process that is stopped may clear away what is half done, before it is killed."""

_STARTING = Lock()
"""The environment is everybody's."""


class ScanProcess:
    """One process, started when it is needed.

    Args:
        work: A function of a module.
        processes: Says how many threads each may have.
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
        """Do a task, in a fresh process if the last one has ended.

        Args:
            task: What to do.
            reported: Called with what the work says of itself.
            wanted: Asked before it begins, when nobody can stop it in between.

        Returns:
            What the work returned; None if it was not wanted, or the process died or was stopped.

        Raises:
            Exception: What the work raised.
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
        """End the process and what it does; from another thread. It has ended when this returns."""
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
        """End the process; nobody runs a task any more."""
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
