"""Run `pancascade train` on the corrections in a separate process."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from pancascade.data.readers.corrected_results import holds_corrections
from pancascade.messages.names_only import names_only
from pancascade.services.server.faults import RequestError
from pancascade.services.server.monai_label.tasks import Task

PATIENCE_S = 20
"""Seconds in which a stopped training may end by itself."""

_LONGEST_LINE = 300


@dataclass(frozen=True)
class TrainingOptions:
    """Options of training on corrections.

    Attributes:
        recipe: Name of a shipped recipe, or a file.
        start_from: Weights to train further: a model's name or a checkpoint; None for random weights.
        device: ``cpu`` or ``cuda``.
    """

    recipe: str = "qiu2024_corrections"
    start_from: str | None = "qiu2024-small"
    device: str = "cpu"


Command = Callable[[TrainingOptions, Path, Path], Sequence[str]]


def train_command(options: TrainingOptions, source: Path, out: Path) -> list[str]:
    """Return the command line of a training.

    Args:
        options: Options of the training.
        source: Results with corrections.
        out: Folder of the run.
    """
    command = [sys.executable, "-c", "from pancascade.cli.app import main; main()", "train", options.recipe]
    command += ["--source", str(source), "--out", str(out), "--device", options.device]
    return command if options.start_from is None else [*command, "--start-from", options.start_from]


class BackgroundTraining:
    """Trainings, one at a time. Safe to use from any thread.

    Args:
        options: Options of the trainings.
        source: Results with corrections.
        runs: Folder of the runs, with a folder for each.
        command: Makes the command line.

    Attributes:
        tasks: All tasks, in order.
    """

    def __init__(self, options: TrainingOptions, source: Path, runs: Path, *, command: Command = train_command) -> None:
        self.options = options
        self.tasks: list[Task] = []
        self._source, self._runs, self._command = source, runs, command
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None
        self._thread: Thread | None = None

    def start(self, request: dict[str, Any]) -> Task:
        """Start a training.

        Args:
            request: The request.

        Raises:
            RequestError: A training is running, or there are no corrections.
        """
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                raise RequestError(429, "A training is running already. Wait for it, or stop it.")
            if not (self._source.is_dir() and holds_corrections(self._source)):
                raise RequestError(400, "There is no correction to train on yet. Save one first.")
            out = self._new_run()
            task = Task({**request, "run": out.name})
            self.tasks.append(task)
            self._process = subprocess.Popen(
                self._command(self.options, self._source, out),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
            task.status = "RUNNING"
            self._thread = Thread(target=_follow, args=(task, self._process), daemon=True)
            self._thread.start()
            return task

    def stop(self) -> Task | None:
        """Stop the running training and wait for its end; return None if none runs."""
        with self._lock:
            process = self._process
            if process is None or process.poll() is not None:
                return None
            task = self.tasks[-1]
            task.status = "STOPPED"
            process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
        self.wait()
        return task

    def wait(self) -> None:
        """Wait until the training has ended."""
        if self._thread is not None:
            self._thread.join()

    def lines(self) -> list[str]:
        """Return the last lines of the last training."""
        return list(self.tasks[-1].details) if self.tasks else []

    def _new_run(self) -> Path:
        taken = [int(path.name) for path in self._runs.glob("[0-9]*") if path.name.isdecimal()]
        out = self._runs / f"{max([*taken, len(self.tasks)]) + 1:03d}"
        out.parent.mkdir(parents=True, exist_ok=True)
        return out


def _follow(task: Task, process: "subprocess.Popen[str]") -> None:
    """Keep the last lines of output, without folders, and record how it ended."""
    if process.stdout is not None:
        with process.stdout as lines:
            for line in lines:
                if line.strip():
                    task.details.append(names_only(line.strip()[:_LONGEST_LINE]))
    task.end("DONE" if process.wait() == 0 else "ERROR")
