import logging
import queue
import sys
from functools import partialmethod
from pathlib import Path

# DICOM series are written beside the tests of reading.
sys.path.insert(0, str(Path(__file__).parents[2] / "imaging" / "io"))

import pytest
from orthanc import PROGRAM, Orthanc
from pynetdicom.transport import AssociationServer
from stand_ins import Pacs, RunningNode


class Log(logging.Handler):
    """What the node says, line by line, so that a test waits for a line and for no time."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._new: queue.SimpleQueue[str] = queue.SimpleQueue()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self._new.put(record.getMessage())

    def wait_for(self, text: str) -> str:
        """The next line that holds a text."""
        while True:
            line = self._new.get(timeout=120)
            if text in line:
                return line


@pytest.fixture(autouse=True)
def end_at_once(monkeypatch):
    """The library's servers would look every half second only whether they are to end."""
    monkeypatch.setattr(AssociationServer, "serve_forever", partialmethod(AssociationServer.serve_forever, 0.01))


@pytest.fixture
def log():
    handler, logger = Log(), logging.getLogger("pancascade.services.pacs")
    former = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(former)


@pytest.fixture
def pacs():
    """A PACS that takes everything, on a port that the system has chosen."""
    with Pacs() as running:
        yield running


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory):
    """A real PACS, shared by all tests of a process."""
    if PROGRAM is None:
        pytest.skip("Orthanc (package orthanc) is not installed")
    running = Orthanc(tmp_path_factory.mktemp("orthanc") / "orthanc")
    running.start()
    yield running
    running.close()


@pytest.fixture
def start(tmp_path, log):
    """Start a node that sends to a port; it is stopped in the end."""
    started: list[RunningNode] = []

    def run(send_to: int, **choices: object) -> RunningNode:
        started.append(RunningNode(tmp_path / "queue", send_to, **choices))
        return started[-1]

    yield run
    for node in started:
        node.stop()
