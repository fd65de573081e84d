"""A server that runs in a thread of the tests, on a port of its own."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import httpx
import stub_work

from pancascade.services.server.app import create_app
from pancascade.services.server.server_run import address_of, bound_socket, make_server
from pancascade.services.server.server_settings import ServerSettings

WITHIN_S = 600
"""Only so that a fault of the server ends a test; none is judged by it."""


class Running:
    """A server, and a client of it."""

    def __init__(self, app, address: str, folder: Path) -> None:
        self.app, self.address, self.folder = app, address, folder
        self.service = app.state.jobs
        self.client = httpx.Client(base_url=address, timeout=WITHIN_S, trust_env=False)

    def send(self, content: bytes, *, name: str = "MILLER_JANE.nii.gz", **choices) -> httpx.Response:
        return self.client.post("/jobs", files={"file": (name, content)}, **choices)

    def submit(self, what: str = "") -> str:
        """Send something for the stub; the job's id."""
        answer = self.send(stub_work.upload(what))
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    def events(self, place: str) -> Iterator[tuple[str, dict]]:
        with self.client.stream("GET", place) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            name = ""
            for line in answer.iter_lines():
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    yield name, json.loads(value)

    def ended(self, job: str) -> dict:
        """The job when it has ended."""
        return [data for _, data in self.events(f"/jobs/{job}/events")][-1]

    def wait_until(self, job: str, doing: str) -> None:
        for name, data in self.events(f"/jobs/{job}/events"):
            if name == "job" and data["progress"]["doing"] == doing:
                return
        raise AssertionError(f"the job has ended before it was {doing}")

    def wait_for(self, holds: Callable[[], bool]) -> None:
        """Wait for what the server does after the client has gone."""
        for _ in range(12_000):
            if holds():
                return
            time.sleep(0.01)
        raise AssertionError("it never came true")

    def on_disk(self) -> set[str]:
        """Files below the folder of jobs."""
        jobs = self.folder / "jobs"
        while True:
            try:
                return {str(path.relative_to(jobs)) for path in jobs.rglob("*") if path.is_file()}
            except FileNotFoundError:  # the server removes a folder meanwhile
                continue

    def detail(self, answer: httpx.Response) -> str:
        """The sentence of a fault; one that is fit to be shown."""
        (reported,) = answer.json().items()
        assert reported[0] == "detail"
        assert 0 < len(reported[1]) <= 200
        assert "\n" not in reported[1] and "Traceback" not in reported[1] and str(self.folder) not in reported[1]
        return reported[1]


@contextmanager
def running(folder: Path, *, work=stub_work.work, **choices) -> Iterator[Running]:
    """Start a server; it has ended when the block is left."""
    choices = {"max_upload_mb": 1, "queue": 3, **choices}
    settings = ServerSettings(folder=folder, port=0, **choices)
    with bound_socket("127.0.0.1", 0) as listening:
        app, ready = create_app(settings, work=work), Event()
        server = make_server(app, ready=ready.set)
        with app.state.jobs:
            thread = Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
            thread.start()
            assert ready.wait(WITHIN_S)
            found = Running(app, address_of(listening), folder)
            if not (folder / "gate").exists():
                os.mkfifo(folder / "gate")
            try:
                with found.client:
                    yield found
            finally:
                server.should_exit = True
                thread.join()
