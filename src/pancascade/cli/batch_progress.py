"""Progress of a batch: a bar on a terminal, else one line a case; and a summary at its end."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from pancascade.messages.counts import counted
from pancascade.messages.durations import spell_duration

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from pancascade.segmentation.batch import SegmentedCase
    from pancascade.segmentation.batch.ledger import LedgerEntry
    from pancascade.segmentation.batch.scan_input import ScanInput


class BatchProgress:
    """Shows the progress of a batch, and in the end its result.

    Args:
        out: Folder of the results.
    """

    def __init__(self, out: Path) -> None:
        from rich.console import Console

        self._out = out
        self._console = Console(markup=False, highlight=False, soft_wrap=True)
        self._states: Counter[str] = Counter()
        self._kept = 0
        self._total = 0
        self._bytes_left = 0
        self._bytes_done = 0
        self._warned = 0
        self._began = time.monotonic()
        self._bars: Progress | None = None
        self._task: TaskID | None = None

    @property
    def unfinished(self) -> int:
        """Number of cases without a result."""
        return self._states["refused"] + self._states["failed"]

    def __enter__(self) -> "BatchProgress":
        if self._console.is_terminal:
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn())
            self._bars = Progress(*columns, console=self._console, transient=True)
            self._bars.start()
            self._task = self._bars.add_task("searching for scans", total=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()
        if kind is None:
            self._print_end()

    def begin(self, left: "Sequence[ScanInput]", kept: "Iterable[LedgerEntry]") -> None:
        """Take the scans that are left, and the ledger entries of those that are not repeated."""
        self._began = time.monotonic()
        self._bytes_left = sum(scan.size_bytes for scan in left)
        for entry in kept:
            self._count(entry)
        self._kept = self._states.total()
        self._total = len(left) + self._kept
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, total=self._total, completed=self._kept, description=self._reported())
        else:
            earlier = f", {self._kept} of them known from an earlier run" if self._kept else ""
            self._console.print(f"{counted(self._total, 'scan')}{earlier}.")

    def finished(self, case: "SegmentedCase") -> None:
        """Count and show one more case."""
        entry = case.entry
        self._count(entry)
        self._bytes_left -= case.scan.size_bytes
        self._bytes_done += case.scan.size_bytes
        line = f"{entry.case}: {entry.state}" + ("" if entry.seconds is None else f" in {entry.seconds:.1f} s")
        if entry.warnings:
            line += f", {len(entry.warnings)} warnings" if len(entry.warnings) > 1 else ", 1 warning"
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=self._states.total(), description=self._reported())
        else:
            self._console.print(f"[{self._states.total()}/{self._total}] {line}{self._time_left(', ')}")
        if entry.reason is not None:
            self._console.print(f"{entry.state.capitalize()}: {entry.reason.sentence}", style="yellow")

    def _count(self, entry: "LedgerEntry") -> None:
        self._states[entry.state] += 1
        self._warned += bool(entry.warnings)

    def _reported(self) -> str:
        counts = f"{self._states.total()} of {self._total} scans"
        for state in ("refused", "failed"):
            counts += f", {self._states[state]} {state}" if self._states[state] else ""
        return counts + self._time_left(", ")

    def _time_left(self, before: str) -> str:
        """Estimate by size what is left; nothing before the first case, or after the last."""
        if not self._bytes_left or not self._bytes_done:
            return ""
        seconds = (time.monotonic() - self._began) * self._bytes_left / self._bytes_done
        return f"{before}about {spell_duration(seconds)} left"

    def _print_end(self) -> None:
        done = f"{self._states['done']} of {self._total} scans done, {self._warned} with warnings"
        rest = [f"{self._states[state]} {state}" for state in ("refused", "failed") if self._states[state]]
        self._console.print(f"{', '.join([done, *rest])}.")
        page = self._out / "cohort.html"
        for what, path in (("Page", page), ("Ledger", self._out / "ledger.jsonl")):
            if path.exists():
                self._console.print(f"{what}: {path}")
        self._console.print("Research use only. Not for clinical use.", style="dim")
