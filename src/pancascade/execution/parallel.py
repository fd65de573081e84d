"""Parallel work on many cases in other processes, interruptible, with failures isolated per case."""

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
    """Run a function on every job; yield jobs with their results in order of completion.

    A process that dies (e.g. out of memory) affects only its own job, which is tried once more alone, then returned
    with None. Ctrl-C ends all processes without tracebacks.

    Args:
        work: A module-level function, so that other processes can import it. Its exceptions are raised here.
        jobs: Arguments of the work; they are sent to the processes, so they must be small.
        workers: Number of processes; 1 works in the current process.
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
    # Two jobs together may have needed too much memory, so jobs whose process died are repeated one by one.
    for one in died:
        with closing(worked_off(work, [one], workers=1)) as done:
            for job, answer in done:
                yield job, None if answer is None else answer.result()


def available_cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worked_off(
    work: Callable[[Job], Result],
    jobs: Iterable[Job],
    *,
    workers: int,
    starting: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Generator[tuple[Job, Answer[Result] | None]]:
    """Yield jobs with their answers in order of completion; None for a job whose process died.

    A process gets its next job only after the caller has handled its last answer. So a caller that stores answers loses
    only the running jobs if everything is killed. Jobs are taken from the iterable only as needed.

    No thread and no lock is shared with the processes, unlike in an executor of the standard library: an interrupt
    while a lock is taken would leave it locked, and a process that dies within an answer would block its reader.

    Args:
        work: A module-level function, so that other processes can import it.
        jobs: Arguments of the work.
        workers: Number of processes.
        starting: Context for the start of each process.
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
            if not start():  # more workers than jobs
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
        # Ctrl-C reaches the processes too, but a signal only to this process does not, and a job can take long.
        with interrupts_held():
            for process in processes:
                process.stop()
            for process in processes:
                process.end(stopped=True)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Delay Ctrl-C and termination signals, here and in processes started here.

    A thread's mask is not enough: another thread would take the signal, and its handler runs in this one.
    """
    with interrupt_held_back():
        if sys.platform == "win32":
            yield
            return
        resource_tracker.ensure_running()  # the first process would start it, which removes the mask
        heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, heard)
