"""Messages of a training process to the process that started it."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pancascade.training.run import RunProgress

Send = Callable[[Any], None]


class ProgressSender:
    """Sends each finished batch, and new epochs of the history, to the starting process."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._reported = 0

    def __call__(self, run: RunProgress, done: int, batches: int) -> None:
        """See `pancascade.training.run.ProgressCall`."""
        new, self._reported = run.history[self._reported :], len(run.history)
        self._send(("batch", run.epoch, new, done, batches))


class _ReportHandler(logging.Handler):
    def __init__(self, send: Send) -> None:
        super().__init__(logging.WARNING)
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send a log record."""
        self._send(("log", record.name, record.levelno, record.getMessage()))


@contextmanager
def logs_reported(send: Send | None) -> Iterator[None]:
    """Send warnings to the starting process; drop those of processes that do not lead."""
    root = logging.getLogger()
    root.handlers = [logging.NullHandler() if send is None else _ReportHandler(send)]
    yield
