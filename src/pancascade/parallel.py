"""Work on many cases in other processes, that can be interrupted and loses no case but the one that fails."""

import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import TypeVar

from pancascade.interrupts import interrupt_held_back
from pancascade.worker_process import WorkerProcess

Job = TypeVar("Job")
Result = TypeVar("Result")


def each_in_processes(
    work: Callable[[Job], Result], jobs: Sequence[Job], *, workers: int
) -> Iterator[tuple[Job, Result | None]]:
    """Do a piece of work on every job; jobs come back with their results as they are finished, in any order.

    A process that dies (out of memory, say) costs its own job only, which comes back with None. Ctrl-C ends the
    others without tracebacks and leaves none behind.

    Args:
        work: A function of a module, so that other processes find it. What it raises is raised here.
        jobs: What it works on; they travel to the processes, so they are small.
        workers: Processes; 1 works in this one.
    """
    if workers <= 1 or len(jobs) <= 1:
        for job in jobs:
            yield job, work(job)
        return
    # Two together may have needed more memory than there is: those that died are done again, one by one.
    for job in (yield from _work_off(work, jobs, min(workers, len(jobs)))):
        if (yield from _work_off(work, [job], 1)):
            yield job, None


def available_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _work_off(
    work: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Generator[tuple[Job, Result], None, list[Job]]:
    """Jobs with their results as they are finished; returns those whose process died.

    No thread and no lock is shared with the processes, as an executor's are: an interrupt between taking and holding a
    lock would leave it locked, and whoever dies in the middle of an answer would leave its reader waiting.
    """
    left, died = deque(jobs), list[Job]()
    crew = list[WorkerProcess[Job, Result]]()

    def hire() -> None:
        if left:
            crew.append(WorkerProcess(work, left.popleft()))

    try:
        with interrupts_held():
            for _ in range(workers):
                hire()
        while crew:
            ready = wait([worker.answers for worker in crew])
            for worker in [worker for worker in crew if worker.answers in ready]:
                job, answer = worker.job, worker.answer()
                if left and answer is not None:
                    worker.begin(left.popleft())
                else:
                    with interrupts_held():
                        crew.remove(worker)
                        worker.end()
                        hire()
                if answer is None:
                    died.append(job)
                else:
                    yield job, answer.result()
    finally:
        # Ctrl-C reaches the workers too; a signal to this process alone does not, and a job can take long.
        with interrupts_held():
            for worker in crew:
                worker.stop()
            for worker in crew:
                worker.end()
    return died


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Put Ctrl-C and other endings off, here and in processes started here.

    A thread's mask alone would not do: another thread takes the signal then, and its handler runs in this one.
    """
    with interrupt_held_back():
        if sys.platform == "win32":
            yield
            return
        resource_tracker.ensure_running()  # the first process would start it, and that lifts the mask
        heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, heard)
