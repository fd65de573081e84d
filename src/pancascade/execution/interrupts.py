"""Handling of Ctrl-C and other termination signals."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any] | int | None
"""A handler of `signal.signal`."""

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Termination signals of clusters, service managers and closed terminals."""


@contextmanager
def endings_heeded() -> Iterator[None]:
    """Inside the block, termination signals unwind the program as Ctrl-C does, so that it can clean up.

    Raises:
        SystemExit: A signal arrived; the exit code is 128 plus its number.
    """

    def end(number: int, _: FrameType | None) -> None:
        for each in ENDING:
            signal.signal(each, signal.SIG_IGN)  # a second signal must not interrupt the clean-up
        raise SystemExit(128 + number)

    former = _handle(ENDING, end)
    try:
        yield
    finally:
        _restore(former)


@contextmanager
def interrupt_held_back() -> Iterator[None]:
    """Delay Ctrl-C and termination signals to the end of the block: interrupted library loading crashes Python.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed in the block.
        SystemExit: Another termination signal arrived, inside `endings_heeded`.
    """
    heard: list[int] = []

    def remember(number: int, _: FrameType | None) -> None:
        heard.append(number)

    former = _handle((signal.SIGINT, *ENDING), remember)
    try:
        yield
    finally:
        _restore(former)
    for number in heard[:1]:
        signal.raise_signal(number)


def _handle(numbers: tuple[signal.Signals, ...], handler: Handler) -> dict[signal.Signals, Handler]:
    """Install a handler for signals that are not ignored (as by ``nohup``); return the former handlers."""
    former: dict[signal.Signals, Handler] = {}
    try:
        for number in numbers:
            if signal.getsignal(number) not in (None, signal.SIG_IGN):
                former[number] = signal.signal(number, handler)
    except ValueError:  # Only the main thread can set handlers.
        return {}
    return former


def _restore(former: dict[signal.Signals, Handler]) -> None:
    for number, handler in former.items():
        signal.signal(number, handler)
