"""What a process that trains with others tells the one that started it."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pancascade.training.run import RunProgress

Tell = Callable[[Any], None]


class Teller:
    """Tells the first process of a batch that is done, and of epochs that it has not told of."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._reported = 0

    def __call__(self, run: RunProgress, done: int, batches: int) -> None:
        """See `pancascade.training.run.ProgressCall`."""
        new, self._reported = run.history[self._reported :], len(run.history)
        self._tell(("batch", run.epoch, new, done, batches))


class _ReportHandler(logging.Handler):
    def __init__(self, tell: Tell) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Tell a line."""
        self._tell(("log", record.name, record.levelno, record.getMessage()))


@contextmanager
def logs_reported(tell: Tell | None) -> Iterator[None]:
    """Warnings are told to the first process; those of processes that do not lead are not."""
    root = logging.getLogger()
    root.handlers = [logging.NullHandler() if tell is None else _ReportHandler(tell)]
    yield
