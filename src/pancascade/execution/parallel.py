"""Work on many cases in other processes, that can be interrupted and loses no case but the one that fails."""

import os
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import TypeVar

from pancascade.execution.interrupts import interrupt_held_back
from pancascade.execution.worker_process import Answer, WorkerProcess

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
    died = list[Job]()
    with closing(worked_off(work, jobs, workers=min(workers, len(jobs)))) as done:
        for job, answer in done:
            if answer is None:
                died.append(job)
            else:
                yield job, answer.result()
    # Two together may have needed more memory than there is: those that died are done again, one by one.
    for one in died:
        with closing(worked_off(work, [one], workers=1)) as done:
            for job, answer in done:
                yield job, None if answer is None else answer.result()


def available_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worked_off(
    work: Callable[[Job], Result],
    jobs: Iterable[Job],
    *,
    workers: int,
    starting: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Generator[tuple[Job, Answer[Result] | None]]:
    """Jobs with their answers as they come, in any order; None for a job whose process died over it.

    A process gets its next job when the answer to the last one has been dealt with: whoever writes answers down has
    lost none but those under way when everything is killed. Jobs are taken from the iterable only as they are needed.

    No thread and no lock is shared with the processes, as an executor's are: an interrupt between taking and holding a
    lock would leave it locked, and whoever dies in the middle of an answer would leave its reader waiting.

    Args:
        work: A function of a module, so that other processes find it.
        jobs: What it works on.
        workers: Processes.
        starting: Entered around the start of each process.
    """
    left = iter(jobs)
    processes = list[WorkerProcess[Job, Result]]()

    def start() -> bool:
        with interrupts_held(), starting():
            for job in left:
                processes.append(WorkerProcess(work, job))
                return True
        return False

    def end(process: WorkerProcess[Job, Result]) -> None:
        with interrupts_held():
            processes.remove(process)
            process.end()

    try:
        for _ in range(workers):
            if not start():  # more workers than jobs, whatever was asked for
                break
        while processes:
            ready = wait([process.answers for process in processes])
            for process in [process for process in processes if process.answers in ready]:
                answer = process.answer()
                yield process.job, answer
                if answer is None:
                    end(process)
                    start()
                elif not process.take_next(left):
                    end(process)
    finally:
        # Ctrl-C reaches the processes too; a signal to this one alone does not, and a job can take long.
        with interrupts_held():
            for process in processes:
                process.stop()
            for process in processes:
                process.end()


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
