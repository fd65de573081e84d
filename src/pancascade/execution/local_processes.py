"""Executor on this machine: processes, each with one job at a time."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any

from pancascade.execution.executor import Finished, Job, Result
from pancascade.execution.parallel import available_cores, worked_off

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables from which numerical libraries read their number of threads when loaded."""

DIED = "the process that worked on it was killed, probably for lack of memory"


class LocalProcesses:
    """Executor with processes of this machine, which share its cores.

    If a process dies, its job is returned without a result and the process is replaced; other processes are not
    affected.

    Args:
        workers: Number of processes; 0 takes one per processor core.
        threads: Threads of each process; None divides the cores.
    """

    def __init__(self, workers: int = 0, *, threads: int | None = None) -> None:
        self.workers = workers or available_cores()
        self.threads = threads or max(1, available_cores() // self.workers)

    def run(self, work: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Finished[Job, Result]]:
        """Run the work on every job; see `Executor.run`."""
        with closing(worked_off(work, jobs, workers=self.workers, starting=self.starting)) as done:
            for job, answer in done:
                yield Finished(job, None, lost=DIED) if answer is None else Finished(job, answer.result())

    def starting(self) -> AbstractContextManager[None]:
        """Return the context for the start of a process, which sets its number of threads in the environment."""
        return _environment({name: self._threads_of(name) for name in THREAD_VARIABLES})

    def _threads_of(self, name: str) -> str:
        """Return the number of threads of a process, limited by the user's own setting."""
        asked = os.environ.get(name, "")
        return str(min(self.threads, int(asked)) if asked.isdigit() and int(asked) else self.threads)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for processes started inside the block."""
    former: dict[str, Any] = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
