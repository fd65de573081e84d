"""An executor of this machine: some processes, each with one job at a time."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any

from pancascade.execution.executor import Finished, Job, Result
from pancascade.execution.parallel import available_cores, worked_off

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""What numerical libraries ask for the number of their threads, once, when they are loaded."""

DIED = "the process that worked on it was killed, probably for want of memory"


class LocalProcesses:
    """Processes of this machine, among which its cores are divided.

    A process that dies costs the job that it had, which comes back without a result; the process is replaced, and the
    others notice nothing.

    Args:
        workers: Processes; 0 takes one for every processor core.
        threads: Of each process; None divides the cores.
    """

    def __init__(self, workers: int = 0, *, threads: int | None = None) -> None:
        self.workers = workers or available_cores()
        self.threads = threads or max(1, available_cores() // self.workers)

    def run(self, work: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Finished[Job, Result]]:
        """As the protocol says."""
        with closing(worked_off(work, jobs, workers=self.workers, starting=self.starting)) as done:
            for job, answer in done:
                yield Finished(job, None, lost=DIED) if answer is None else Finished(job, answer.result())

    def starting(self) -> AbstractContextManager[None]:
        """Entered around the start of a process: inside, the environment says how many threads it may have."""
        return _environment({name: self._threads_of(name) for name in THREAD_VARIABLES})

    def _threads_of(self, name: str) -> str:
        """The share of a process; fewer where the user has asked for fewer."""
        asked = os.environ.get(name, "")
        return str(min(self.threads, int(asked)) if asked.isdigit() and int(asked) else self.threads)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Variables of the environment for processes that are started inside the block."""
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
