"""An executor of this machine: some processes, each with one job at a time."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any

from pancascade.execution.executor import Finished, Job, Result
from pancascade.parallel import available_cores, interrupts_held
from pancascade.worker_process import WorkerProcess

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
        left = iter(jobs)
        crew = list[WorkerProcess[Job, Result]]()

        def hire() -> None:
            with interrupts_held(), _environment({name: self._threads_of(name) for name in THREAD_VARIABLES}):
                for job in left:
                    crew.append(WorkerProcess(work, job))
                    return

        def go_on(worker: WorkerProcess[Job, Result]) -> None:
            for job in left:
                worker.begin(job)
                return
            dismiss(worker)

        def dismiss(worker: WorkerProcess[Job, Result]) -> None:
            with interrupts_held():
                crew.remove(worker)
                worker.end()

        try:
            for _ in range(self.workers):
                hire()
            while crew:
                ready = wait([worker.answers for worker in crew])
                for worker in [worker for worker in crew if worker.answers in ready]:
                    job, answer = worker.job, worker.answer()
                    # The result first: were the next job begun before, a kill could lose both.
                    if answer is not None:
                        yield Finished(job, answer.result())
                        go_on(worker)
                    else:
                        yield Finished(job, None, lost=DIED)
                        dismiss(worker)
                        hire()
        finally:
            # Ctrl-C reaches the workers too; a signal to this process alone does not, and a job can take long.
            with interrupts_held():
                for worker in crew:
                    worker.stop()
                for worker in crew:
                    worker.end()

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
