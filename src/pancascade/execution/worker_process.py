"""A process that does one job after another, with a pipe of its own: who dies or is ended harms no other."""

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
from typing import Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

# A forked process could inherit a lock that a progress bar's thread holds; a spawned one starts clean.
_SPAWN = get_context("spawn")


@dataclass(frozen=True)
class Answer(Generic[Result]):
    """What came of a job.

    Attributes:
        found: The result; None if the work raised an error.
        error: What it raised.
    """

    found: Result | None
    error: Exception | None

    def result(self) -> Result:
        """The result, or what the work raised."""
        if self.error is not None:
            raise self.error
        return self.found  # type: ignore[return-value]


@dataclass(frozen=True)
class Reported:
    """What work under way has said of itself.

    Attributes:
        message: As `tell_parent` was given it.
    """

    message: object


class WorkerProcess(Generic[Job, Result]):
    """A process at work on a job; start it where no interrupt can come between.

    Args:
        work: A function of a module, so that the process finds it.
        job: The first one.
    """

    def __init__(self, work: Callable[[Job], Result], job: Job) -> None:
        self.answers, theirs = _SPAWN.Pipe()
        """Ready when there is an answer, or when the process has died."""
        self._process = _SPAWN.Process(target=_serve, args=(theirs, work), daemon=True)
        self._process.start()
        theirs.close()
        self.begin(job)

    def begin(self, job: Job) -> None:
        """Give it another job, after its answer to the last one."""
        self.job = job
        with suppress(ConnectionError):  # it died; `answer` tells
            self.answers.send(job)

    def take_next(self, jobs: Iterator[Job]) -> bool:
        """Give it the next job, if there is one; whether there was."""
        for job in jobs:
            self.begin(job)
            return True
        return False

    def answer(self) -> Answer[Result] | None:
        """What came of the job; None if the process died over it. What the work says meanwhile is passed over."""
        while isinstance(received := self.receive(), Reported):
            pass
        return received

    def receive(self) -> Reported | Answer[Result] | None:
        """The next thing that the work says of itself, or what came of it; None if the process died over it."""
        try:
            return self.answers.recv()
        except (EOFError, OSError):
            return None

    @property
    def lives(self) -> bool:
        """Whether it can take another job."""
        return self._process.is_alive()

    def stop(self) -> None:
        """Have it clear away what is half done, and end."""
        self._process.terminate()

    def kill(self) -> None:
        """End it whatever it does: one that hangs in a library does not hear `stop`."""
        self._process.kill()

    def end(self) -> None:
        """Wait until it has ended: without a job it ends by itself."""
        self.answers.close()
        self._process.join()
        self._process.close()


_parent: Connection | None = None


def tell_parent(message: object) -> None:
    """Inside the work of a process: say how far it is. Elsewhere nobody hears it.

    Args:
        message: Something small that travels.
    """
    if _parent is not None:
        with suppress(OSError):  # nobody is left to hear it
            _parent.send(Reported(message))


def _serve(jobs: Connection, work: Callable[[Job], Result]) -> None:
    """Do jobs until whoever gives them has gone."""
    # Where Ctrl-C was to be ignored (as after ``nohup``), it stays so.
    global _parent  # noqa: PLW0603  # a process serves one parent all its life
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
    """A parent that was killed cannot send its workers home; a job can take long."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do(work: Callable[[Job], Result], job: Job, *, heeded: bool) -> Answer[Result]:
    """Ctrl-C and SIGTERM clear away a half-written file, then end the process without a traceback.

    Raises:
        KeyboardInterrupt: One of them came.
    """
    try:
        if heeded:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        return Answer(work(job), None)
    except Exception as error:
        error.add_note(f"In another process:\n{format_exc()}")
        return Answer(None, error)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _pickled(answer: Answer[Result]) -> memoryview:
    """The answer as it travels; what cannot is told."""
    try:
        return ForkingPickler.dumps(answer)
    except Exception as error:
        return ForkingPickler.dumps(Answer(None, TypeError(f"the answer of a process cannot travel: {error}")))
