"""Messages of a training process to the process that started it."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pancascade.training.run import RunProgress

Tell = Callable[[Any], None]


class Teller:
    """Sends each finished batch, and new epochs of the history, to the starting process."""

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
        """Send a log record."""
        self._tell(("log", record.name, record.levelno, record.getMessage()))


@contextmanager
def logs_reported(tell: Tell | None) -> Iterator[None]:
    """Send warnings to the starting process; drop those of processes that do not lead."""
    root = logging.getLogger()
    root.handlers = [logging.NullHandler() if tell is None else _ReportHandler(tell)]
    yield
