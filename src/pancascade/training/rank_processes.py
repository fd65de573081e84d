"""Processes that work together: if one fails, all end, and the error is reported once."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from threading import Thread
from traceback import format_exc
from typing import Any

from pancascade.execution.parallel import interrupts_held
from pancascade.execution.worker_process import end_with_parent
from pancascade.training.group import ProcessLostError

_SPAWN = get_context("spawn")

_ENDS_WITHIN_S = 20
"""Time for a terminated process to end before it is killed."""


class RankProcesses:
    """A set of processes that work together.

    Args:
        work: A function of a module. Its arguments are a function that sends a message to the starting process, and the
            process's arguments.
        arguments: Arguments of each process.
    """

    def __init__(self, work: Callable[..., None], arguments: Sequence[tuple[Any, ...]]) -> None:
        self._processes: list[Any] = []
        self._pipes: list[Connection] = []
        for each in arguments:
            with interrupts_held():
                ours, theirs = _SPAWN.Pipe(duplex=False)
                process = _SPAWN.Process(target=_serve, args=(theirs, work, each), daemon=True)
                process.start()
                theirs.close()
                self._processes.append(process)
                self._pipes.append(ours)

    def messages(self) -> Iterator[Any]:
        """Yield the messages of the processes, until all have finished.

        Raises:
            Exception: The error of a failed process; the cause rather than its effects in other processes.
            ProcessLostError: A process was killed.
        """
        left = dict(enumerate(self._pipes))
        ended = set[int]()
        lost: ProcessLostError | None = None
        while left:
            ready = wait(list(left.values()))
            for number, pipe in [one for one in left.items() if one[1] in ready]:
                try:
                    what, reported = pipe.recv()
                except (EOFError, OSError):
                    del left[number]
                    if number not in ended:
                        raise _killed(number, len(self._pipes)) from None
                    continue
                if what == "message":
                    yield reported
                    continue
                ended.add(number)
                if isinstance(reported, ProcessLostError):  # the loss of another process is not the cause
                    lost = reported
                elif what == "failed":
                    raise reported
        if lost is not None:
            raise lost

    def close(self) -> None:
        """End all running processes, and wait for them."""
        with interrupts_held():
            for process in self._processes:
                process.terminate()
            for process, pipe in zip(self._processes, self._pipes, strict=True):
                pipe.close()
                process.join(_ENDS_WITHIN_S)
                if process.is_alive():
                    process.kill()
                    process.join()
                process.close()
            self._processes, self._pipes = [], []


def _killed(number: int, count: int) -> ProcessLostError:
    return ProcessLostError(
        f"Process {number + 1} of {count} of the training was killed, perhaps for lack of memory. Continue from the "
        "last epoch with --resume."
    )


def _serve(pipe: Connection, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    Thread(target=end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends this one
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # unwinds, so that nothing is left half-written
    try:
        try:
            work(lambda reported: pipe.send(("message", reported)), *arguments)
        except Exception as error:
            error.add_note(f"In another process:\n{format_exc()}")
            pipe.send(("failed", error))
        else:
            pipe.send(("done", None))
    except (KeyboardInterrupt, OSError):  # terminated, or the starting process has gone
        os._exit(1)
    os._exit(0)  # threads of the connection to other processes may not end by themselves
