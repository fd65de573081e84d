"""Progress of a verb: a bar on a terminal; otherwise lines on stderr from time to time, with the time left."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from pancascade.cli.spoken import is_quiet
from pancascade.messages.durations import spell_duration

if TYPE_CHECKING:
    from rich.console import Console

logger = logging.getLogger(__name__)

LEAST_S = 10.0
"""Least time between two lines, in seconds; a shorter run prints none."""

LEAST_SHARE = 0.01
"""Least share of the work between two lines: at most a hundred lines, however long it takes."""


class Show(Protocol):
    """Called with the amount that is done and the total; ``what`` names a new step."""

    def __call__(self, done: int, total: int | None = None, *, what: str | None = None) -> None:
        """Show the progress."""


class ProgressLines:
    """Progress for logs: a line at most every ten seconds and every hundredth of the work.

    Args:
        what: Name of the step.
        total: Total amount; None if not known yet.
        write: Takes a line.
        clock: Returns the time in seconds.
    """

    def __init__(
        self,
        what: str,
        total: int | None,
        write: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what, self._total, self._write, self._clock = what, total, write, clock
        self._begin()

    def _begin(self) -> None:
        self._began = self._told_at = self._clock()
        self._first: int | None = None
        self._reported = 0

    def __call__(self, done: int, total: int | None = None, *, what: str | None = None) -> None:
        """Write a line if it is time for one."""
        if (what is not None and what != self._what) or (total is not None and self._total not in (None, total)):
            self._what = what or self._what
            self._begin()
        self._total = self._total if total is None else total
        if self._first is None:
            self._first = self._reported = done  # the work of an earlier run must not count for the speed
        now = self._clock()
        if not self._total or done <= self._reported or now - self._told_at < LEAST_S:
            return
        if done - self._reported < LEAST_SHARE * self._total:
            return
        seconds = (now - self._began) * (self._total - done) / (done - self._first)
        left = f", about {spell_duration(seconds)} left" if done < self._total else ""
        self._write(f"{self._what}: {done} of {self._total}{left}")
        self._reported, self._told_at = done, now


@contextmanager
def shown_progress(what: str, *, total: int | None = None, size: bool = False, shown: bool = True) -> Iterator[Show]:
    """Show the progress of a step while the block runs.

    Args:
        what: Name of the step.
        total: Total amount; None if not known yet.
        size: Whether it is counted in bytes.
        shown: False shows nothing.
    """
    from rich.console import Console

    console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
    logger.info("%s", what)
    if is_quiet() or not shown:
        yield lambda done, total=None, *, what=None: None
    elif console.is_terminal:
        with _bar(what, total, console, size=size) as show:
            yield show
    else:
        yield ProgressLines(what, total, console.print)


@contextmanager
def _bar(what: str, total: int | None, console: "Console", *, size: bool) -> Iterator[Show]:
    from rich import progress

    counts = (progress.DownloadColumn(), progress.TransferSpeedColumn()) if size else (progress.MofNCompleteColumn(),)
    columns = (progress.TextColumn("{task.description}"), progress.BarColumn(), *counts, progress.TimeRemainingColumn())
    both = sys.stdout.isatty()  # output that is piped must not be drawn above the bar
    with progress.Progress(*columns, console=console, transient=True, redirect_stdout=both) as bars:
        task = bars.add_task(what, total=total)

        def show(done: int, total: int | None = None, *, what: str | None = None) -> None:
            if what is not None and what != bars.tasks[0].description:
                bars.reset(task, description=what, total=total)
            bars.update(task, completed=done, total=total)

        yield show
