"""Ctrl-C at a moment when it would do harm, and other signals that ask the program to end."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any] | int | None
"""As `signal.signal` takes and gives it."""

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""What a cluster, a service manager or a closed terminal sends."""


@contextmanager
def endings_heeded() -> Iterator[None]:
    """Inside the block, signals that ask the program to end unwind it as Ctrl-C does, so that nothing is left behind.

    Raises:
        SystemExit: One came; the code is 128 and its number.
    """

    def end(number: int, _: FrameType | None) -> None:
        for each in ENDING:
            signal.signal(each, signal.SIG_IGN)  # another one must not stop the cleaning
        raise SystemExit(128 + number)

    former = _handle(ENDING, end)
    try:
        yield
    finally:
        _restore(former)


@contextmanager
def interrupt_held_back() -> Iterator[None]:
    """Ctrl-C and other endings wait until the block is done: a library stopped while it loads brings Python down.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed meanwhile.
        SystemExit: Another signal came that asks the program to end, inside `endings_heeded`.
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
    """Install a handler where there is one that is not told to ignore (as by ``nohup``); the former ones."""
    former: dict[signal.Signals, Handler] = {}
    try:
        for number in numbers:
            if signal.getsignal(number) not in (None, signal.SIG_IGN):
                former[number] = signal.signal(number, handler)
    except ValueError:  # Signals are the main thread's.
        return {}
    return former


def _restore(former: dict[signal.Signals, Handler]) -> None:
    for number, handler in former.items():
        signal.signal(number, handler)
