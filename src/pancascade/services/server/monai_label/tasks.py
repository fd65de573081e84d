"""Work in the background as MONAI Label tells it: one task at a time, with a state and its last lines."""

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
    """Local time as MONAI Label writes it."""
    return datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")


@dataclass
class Task:
    """A task.

    Attributes:
        request: What was asked for.
        id: Random.
        status: How far it is.
        start_ts: Local time.
        end_ts: The same; None while it runs.
        details: Last lines that it said; clients take the last one without looking whether there is any.
    """

    request: dict[str, Any]
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    status: State = "SUBMITTED"
    start_ts: str = field(default_factory=now)
    end_ts: str | None = None
    details: deque[str] = field(default_factory=lambda: deque(["Submitted."], maxlen=_LINES))

    def reported(self) -> dict[str, Any]:
        """As clients are told it."""
        reported = {"id": self.id, "status": self.status, "request": self.request, "start_ts": self.start_ts}
        if self.end_ts is not None:
            reported["end_ts"] = self.end_ts
        return reported | {"details": list(self.details)}

    def end(self, status: State) -> None:
        """Say how it ended; what was stopped stays so."""
        if self.status != "STOPPED":
            self.status = status
        self.end_ts = now()


def job_description(tasks: Sequence[Task], *, every: bool, running: bool, what: str) -> Any:
    """The answer to who asks for the state of tasks.

    Args:
        tasks: In their order.
        every: All of them, not the last.
        running: Only one that runs.
        what: For the sentence.

    Raises:
        RequestError: There is none.
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
        """Begin.

        Args:
            images: Ids.
            work: Called with each.
            request: What was asked for.

        Raises:
            RequestError: Another one runs.
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
        """Stop after the scan that is under way; the task, or None where none runs."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                return None
            self._stopped.set()
            self.tasks[-1].status = "STOPPED"
            return self.tasks[-1]

    def wait(self) -> None:
        """Until all is done."""
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
