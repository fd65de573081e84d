"""Work on many cases in other processes, that can be interrupted and loses no case but the one that fails."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from typing import TypeVar

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
    left = dict(enumerate(jobs))
    try:
        for number, found in _in_pool(work, left, workers):
            yield left.pop(number), found
    except BrokenProcessPool:
        # Nobody knows which job killed its worker: do the rest one by one, each in a process of its own.
        for number, job in left.items():
            try:
                yield from ((job, found) for _, found in _in_pool(work, {number: job}, 1))
            except BrokenProcessPool:
                yield job, None


def available_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_pool(work: Callable[[Job], Result], jobs: dict[int, Job], workers: int) -> Iterator[tuple[int, Result]]:
    # Forked workers could inherit a lock that a progress bar's thread holds; spawned ones start clean.
    pool = ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn"), initializer=_begin_as_worker)
    try:
        with _interrupts_held():
            waiting = {pool.submit(_do_as_worker, work, job): number for number, job in jobs.items()}
        for future in as_completed(waiting):
            yield waiting[future], future.result()
    except (KeyboardInterrupt, SystemExit):
        # Ctrl-C reaches the workers too; a signal to this process alone does not, and a job can take long.
        for worker in active_children():
            worker.terminate()
        raise
    finally:
        # Without waiting, a pool that is collected too soon forgets to cancel, and leaves its processes behind.
        with _interrupts_held():
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Put Ctrl-C off, here and in processes started here."""
    if sys.platform == "win32":
        yield
        return
    heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, heard)


def _begin_as_worker() -> None:
    _ignore_interrupts()
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed cannot send its workers home; they would wait for jobs for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _ignore_interrupts() -> None:
    """Between two jobs: whoever died while sending a result would leave the parent waiting for the rest of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _do_as_worker(work: Callable[[Job], Result], job: Job) -> Result:
    """Ctrl-C and SIGTERM clear away a half-written file, then end the process without a traceback."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return work(job)
    except KeyboardInterrupt:
        os._exit(1)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
