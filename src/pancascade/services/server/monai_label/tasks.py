"""Work in the background in MONAI Label's form: one task at a time, with a state and its last lines."""

import secrets
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event, Lock, Thread
from typing import Any, Literal

from pancascade.errors import PancascadeError
from pancascade.services.server.faults import RequestError

State = Literal["SUBMITTED", "RUNNING", "DONE", "ERROR", "STOPPED"]
_LINES = 20


def now() -> str:
    """Return the local time in MONAI Label's form."""
    return datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")


@dataclass
class Task:
    """One task.

    Attributes:
        request: The request.
        id: Random id.
        status: State of the task.
        start_ts: Start, local time.
        end_ts: End, local time; None while it runs.
        details: Last lines of output, at least one: clients read the last one without a check.
    """

    request: dict[str, Any]
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    status: State = "SUBMITTED"
    start_ts: str = field(default_factory=now)
    end_ts: str | None = None
    details: deque[str] = field(default_factory=lambda: deque(["Submitted."], maxlen=_LINES))

    def reported(self) -> dict[str, Any]:
        """Return the task in the form for clients."""
        reported = {"id": self.id, "status": self.status, "request": self.request, "start_ts": self.start_ts}
        if self.end_ts is not None:
            reported["end_ts"] = self.end_ts
        return reported | {"details": list(self.details)}

    def end(self, status: State) -> None:
        """Set the final state; a stopped task stays stopped."""
        if self.status != "STOPPED":
            self.status = status
        self.end_ts = now()


def job_description(tasks: Sequence[Task], *, every: bool, running: bool, what: str) -> Any:
    """Return the answer to a request for the state of tasks.

    Args:
        tasks: Tasks in order.
        every: Return all tasks, not only the last.
        running: Return only a running task.
        what: Name of the work, for the sentence.

    Raises:
        RequestError: There is no such task.
    """
    found = [task for task in tasks if not running or task.end_ts is None]
    if not found:
        raise RequestError(404, f"No {what} {'is running' if running else 'was started'}.")
    return [task.reported() for task in found] if every and not running else found[-1].reported()


class BatchTasks:
    """Segmentation of many scans, one after another, in a thread."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self._lock = Lock()
        self._stopped = Event()
        self._thread: Thread | None = None

    def start(self, images: Sequence[str], work: Callable[[str], object], *, request: dict[str, Any]) -> Task:
        """Start a batch.

        Args:
            images: Ids of the scans.
            work: Called with each id.
            request: The request.

        Raises:
            RequestError: Another batch is running.
        """
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                raise RequestError(429, "A batch is running already. Wait for it, or stop it.")
            self._stopped = Event()
            task = Task(request)
            self.tasks.append(task)
            self._thread = Thread(target=_do_all, args=(task, images, work, self._stopped), daemon=True)
            self._thread.start()
            return task

    def stop(self) -> Task | None:
        """Stop after the current scan; return the task, or None if none runs."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                return None
            self._stopped.set()
            self.tasks[-1].status = "STOPPED"
            return self.tasks[-1]

    def wait(self) -> None:
        """Wait until all is done."""
        if self._thread is not None:
            self._thread.join()


def _do_all(task: Task, images: Sequence[str], work: Callable[[str], object], stopped: Event) -> None:
    task.status, failed = "RUNNING", 0
    for number, image in enumerate(images, start=1):
        if stopped.is_set():
            break
        try:
            work(image)
            task.details.append(f"{number} of {len(images)}: {image} segmented.")
        except PancascadeError as error:
            failed += 1
            task.details.append(f"{number} of {len(images)}: {error}")
        except Exception as error:
            failed += 1
            task.details.append(f"{number} of {len(images)}: unexpected {type(error).__name__}.")
    task.end("ERROR" if failed and failed == len(images) else "DONE")
