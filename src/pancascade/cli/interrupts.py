"""Ctrl-C at a moment when it would do harm."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupt_held_back() -> Iterator[None]:
    """Ctrl-C waits until the block is done: a compiled library that is stopped while it loads brings Python down.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed meanwhile.
    """
    pressed: list[int] = []

    def remember(number: int, _: FrameType | None) -> None:
        pressed.append(number)

    try:
        former = signal.signal(signal.SIGINT, remember)
    except ValueError:  # Signals are the main thread's.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)
    if pressed:
        raise KeyboardInterrupt
