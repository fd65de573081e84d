"""An executor of this machine: some processes, each with one job at a time."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from typing import Any

from pancascade.execution.executor import Finished, Job, Result
from pancascade.parallel import _begin_as_worker, _do_as_worker, _interrupts_held, available_cores

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""What numerical libraries ask for the number of their threads, once, when they are loaded."""

DIED = "the process that worked on it was killed, probably for want of memory"


class LocalProcesses:
    """Processes of this machine, among which its cores are divided.

    Each is a pool of one, so that it is known which job a process took with it when it died: that job comes back
    without a result, the process is replaced, and the others notice nothing.

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
        waiting: dict[Future[Result], tuple[Job, ProcessPoolExecutor]] = {}
        pools: set[ProcessPoolExecutor] = set()

        def hand_out(pool: ProcessPoolExecutor | None) -> None:
            for job in left:
                try:
                    if pool is not None:
                        waiting[self._submit(pool, work, job)] = (job, pool)
                        return
                except BrokenProcessPool:  # its process died between two jobs
                    pass
                pool = self._new_pool()
                pools.add(pool)
                waiting[self._submit(pool, work, job)] = (job, pool)
                return

        try:
            for _ in range(self.workers):
                hand_out(None)
            while waiting:
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    job, pool = waiting.pop(future)
                    finished = _finished(job, future)
                    if finished.lost is not None:
                        pools.discard(pool)
                        _shut_down(pool)
                    # The next one first: whoever takes the result may need some time for it.
                    hand_out(pool if finished.lost is None else None)
                    yield finished
        except BaseException:
            # Ctrl-C reaches the workers too; a signal to this process alone does not, and a job can take long.
            for worker in active_children():
                worker.terminate()
            raise
        finally:
            for pool in pools:
                _shut_down(pool)

    def _new_pool(self) -> ProcessPoolExecutor:
        # Forked workers could inherit a lock that a progress bar's thread holds; spawned ones start clean.
        return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin_as_worker)

    def _submit(self, pool: ProcessPoolExecutor, work: Callable[[Job], Result], job: Job) -> Future[Result]:
        """Processes start with their first job."""
        with _interrupts_held(), _environment({name: self._threads_of(name) for name in THREAD_VARIABLES}):
            return pool.submit(_do_as_worker, work, job)

    def _threads_of(self, name: str) -> str:
        """The share of a process; fewer where the user has asked for fewer."""
        asked = os.environ.get(name, "")
        return str(min(self.threads, int(asked)) if asked.isdigit() and int(asked) else self.threads)


def _finished(job: Job, future: Future[Result]) -> Finished[Job, Result]:
    try:
        return Finished(job, future.result())
    except BrokenProcessPool:
        return Finished(job, None, lost=DIED)


def _shut_down(pool: ProcessPoolExecutor) -> None:
    # Without waiting, a pool that is collected too soon forgets to cancel, and leaves its processes behind.
    with _interrupts_held():
        pool.shutdown(wait=True, cancel_futures=True)


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
