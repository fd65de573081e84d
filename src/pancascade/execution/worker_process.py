"""A worker process with its own pipe, so that its death does not affect other processes."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from threading import Thread
from traceback import format_exc
from types import FrameType
from typing import Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

# A forked process could inherit a lock held by a progress bar's thread; a spawned one cannot.
_SPAWN = get_context("spawn")


STOP_AGAIN_S = 1.0
"""Seconds after which a process that was stopped gets the signal again."""


@dataclass(frozen=True)
class Answer(Generic[Result]):
    """Outcome of a job.

    Attributes:
        found: The result; None if the work raised an error.
        error: The error that the work raised.
    """

    found: Result | None
    error: Exception | None

    def result(self) -> Result:
        """Return the result, or raise the error of the work."""
        if self.error is not None:
            raise self.error
        return self.found  # type: ignore[return-value]


@dataclass(frozen=True)
class Reported:
    """Message of running work.

    Attributes:
        message: Argument of `send_to_parent`.
    """

    message: object


class WorkerProcess(Generic[Job, Result]):
    """A process that runs jobs; create it only where interrupts are delayed.

    Args:
        work: A module-level function, so that the process can import it.
        job: The first one.
    """

    def __init__(self, work: Callable[[Job], Result], job: Job) -> None:
        self.answers, theirs = _SPAWN.Pipe()
        """Ready if there is an answer, or if the process has died."""
        self._process = _SPAWN.Process(target=_serve, args=(theirs, work), daemon=True)
        self._process.start()
        theirs.close()
        self.begin(job)

    def begin(self, job: Job) -> None:
        """Send the process a job, after its answer to the last one."""
        self.job = job
        with suppress(ConnectionError):  # the process died, which `answer` reports
            self.answers.send(job)

    def take_next(self, jobs: Iterator[Job]) -> bool:
        """Send the process the next job, if any; return whether there was one."""
        for job in jobs:
            self.begin(job)
            return True
        return False

    def answer(self) -> Answer[Result] | None:
        """Return the outcome of the job; None if the process died. Messages of the work are ignored."""
        while isinstance(received := self.receive(), Reported):
            pass
        return received

    def receive(self) -> Reported | Answer[Result] | None:
        """Return the next message of the work, or its outcome; None if the process died."""
        try:
            return self.answers.recv()
        except (EOFError, OSError):
            return None

    @property
    def lives(self) -> bool:
        """Whether the process can take another job."""
        return self._process.is_alive()

    def stop(self) -> None:
        """Let the process clean up and end."""
        self._process.terminate()

    def kill(self) -> None:
        """Kill the process; one that hangs in a library does not react to `stop`."""
        self._process.kill()

    def end(self, *, stopped: bool = False) -> None:
        """Wait until the process has ended; without a job it ends by itself.

        Args:
            stopped: After `stop`. The signal is sent again until the process ends: one that arrives just before the
                process begins to wait (for a slow disk, say) is noticed only when the wait is over.
        """
        self.answers.close()
        while stopped and self._process.is_alive():
            self._process.join(STOP_AGAIN_S)
            self._process.terminate()
        self._process.join()
        self._process.close()


_parent: Connection | None = None


def send_to_parent(message: object) -> None:
    """Send a message from the work of a process to its parent; does nothing elsewhere.

    Args:
        message: A small object that can be pickled.
    """
    if _parent is not None:
        with suppress(OSError):  # the parent has gone
            _parent.send(Reported(message))


def _serve(jobs: Connection, work: Callable[[Job], Result]) -> None:
    """Run jobs until the parent has gone."""
    # If Ctrl-C is ignored (as by ``nohup``), it stays ignored.
    global _parent  # noqa: PLW0603  # a process has one parent for its whole life
    _parent = jobs
    heeded = signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
    Thread(target=end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        while True:
            jobs.send_bytes(_pickled(_do(work, jobs.recv(), heeded=heeded)))
    except (EOFError, OSError):
        return
    except KeyboardInterrupt:
        os._exit(1)


def end_with_parent() -> None:
    """End this process when its parent ends, because a killed parent cannot stop its workers."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do(work: Callable[[Job], Result], job: Job, *, heeded: bool) -> Answer[Result]:
    """Run a job so that Ctrl-C and SIGTERM clean up partial files and end the process without a traceback."""
    try:
        if heeded:
            signal.signal(signal.SIGINT, _interrupt_once)
        signal.signal(signal.SIGTERM, _interrupt_once)
        return Answer(work(job), None)
    except KeyboardInterrupt:
        os._exit(1)
    except Exception as error:
        error.add_note(f"In another process:\n{format_exc()}")
        return Answer(None, error)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _interrupt_once(number: int, frame: FrameType | None) -> None:
    """Interrupt the work, and let no further signal interrupt its clean-up.

    Raises:
        KeyboardInterrupt: Always.
    """
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _no_more)  # with SIG_IGN, Python would print a message about a signal that is waiting
    signal.default_int_handler(number, frame)


def _no_more(number: int, frame: FrameType | None) -> None:
    """Do nothing: the work is being interrupted."""


def _pickled(answer: Answer[Result]) -> memoryview:
    """Return the pickled answer, or a pickled error if that is impossible."""
    try:
        return ForkingPickler.dumps(answer)
    except Exception as error:
        return ForkingPickler.dumps(Answer(None, TypeError(f"the answer of a process cannot be sent: {error}")))
