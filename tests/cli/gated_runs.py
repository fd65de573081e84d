"""Runs of the command line that stop at a gate, so that no test need be fast to catch them in the middle."""

import os
import subprocess
import sys
from pathlib import Path

# Every Python process under this folder runs it first, the workers of a run as well.
WATCHER = """
import os, re, sys
gate, closed_to = os.environ["GATE"], re.compile(os.environ["CLOSED_TO"])

def watch(event, arguments):
    if event != "open" or not isinstance(arguments[0], str) or not closed_to.search(arguments[0]):
        return
    try:
        waiting = os.open(gate, os.O_RDONLY)
    except FileNotFoundError:
        return
    os.write(1, b"at the gate\\n")
    os.read(waiting, 1)  # comes back when the gate is opened, or when whoever keeps it is gone
    os.close(waiting)

sys.addaudithook(watch)
"""

# Tells when a run does nothing but wait for its processes, and when they are told to end.
MAIN = """
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background were started with it ignored
from pancascade.execution import parallel, worker_process
wait, stop = parallel.wait, worker_process.WorkerProcess.stop
def waits(answers):
    os.write(1, b"waits\\n")
    return wait(answers)
def stops(worker):
    stop(worker)
    os.write(1, b"ending\\n")
parallel.wait, worker_process.WorkerProcess.stop = waits, stops
from pancascade.cli.app import main
main()
"""


class GatedRun:
    """``pancascade`` in a session of its own; whoever opens a file of a certain name waits until the gate is opened.

    Args:
        arguments: Of the command line.
        folder: Working directory.
        closed_to: Regular expression; it is looked for in the paths that are opened.
    """

    def __init__(self, *arguments: object, folder: Path, closed_to: str) -> None:
        place = folder / ".gate"
        place.mkdir()
        (place / "sitecustomize.py").write_text(WATCHER)
        self._gate = place / "gate"
        os.mkfifo(self._gate)
        self._keeper: int | None = os.open(self._gate, os.O_RDWR)
        paths = [str(place), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.process = subprocess.Popen(
            [sys.executable, "-c", MAIN, *map(str, arguments)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "GATE": str(self._gate), "CLOSED_TO": closed_to},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait_for(self, *lines: str) -> None:
        """Read what the run says until all these lines have come, in any order; a line given twice comes twice."""
        left = list(lines)
        while left:
            said = self.process.stdout.readline()
            assert said, f"ended before {left}: {self.process.stderr.read()}"
            if said.strip() in left:
                left.remove(said.strip())

    def wait_at_gate(self, *, workers: int) -> None:
        """Wait until every worker is at the gate, and the first process does nothing but wait for them."""
        self.wait_for(*["at the gate"] * workers, *["waits"] * (workers > 1))

    def open_gate(self) -> None:
        """Let everybody through, now and later."""
        if self._keeper is not None:
            self._gate.unlink()
            os.close(self._keeper)
            self._keeper = None

    def end(self) -> str:
        """Wait for the end; returns what was said on standard error."""
        _, said = self.process.communicate()
        return said
