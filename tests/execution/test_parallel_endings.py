"""A run that is told to end takes its workers with it."""

import _thread
import operator
import os
import signal
import subprocess
import sys
from multiprocessing import active_children
from pathlib import Path
from pkgutil import resolve_name

import pytest

from pancascade.execution.parallel import each_in_processes

ENDED = """
import sys
from test_parallel_endings import tell_and_wait
from pancascade.execution.interrupts import endings_heeded
from pancascade.execution.parallel import each_in_processes

if __name__ == "__main__":
    with endings_heeded():
        list(each_in_processes(tell_and_wait, sys.argv[1:], workers=2))
"""


def tell_and_wait(folder: str) -> None:
    """Never ends by itself: nothing is written into the pipe, which ends with the test."""
    half = Path(folder) / "half-written"
    half.touch()
    try:
        os.write(1, f"{os.getpid()}\n".encode())
        (Path(folder) / "pipe").read_bytes()
    finally:
        half.unlink()


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes")
def test_workers_end_in_the_middle_of_their_jobs_and_clear_away_what_is_half_written(tmp_path):
    (tmp_path / "run.py").write_text(ENDED)
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
        os.mkfifo(folder / "pipe")
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "src")]
    run = subprocess.Popen(
        [sys.executable, tmp_path / "run.py", *folders],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with run:
        workers = [int(run.stdout.readline()) for _ in folders]
        run.terminate()
        assert run.wait() == 128 + signal.SIGTERM
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)
    assert [[path.name for path in folder.iterdir()] for folder in folders] == [["pipe"], ["pipe"]]


PLACES = [
    "multiprocessing.context.SpawnProcess.start",
    "pancascade.execution.worker_process.WorkerProcess.begin",
    "pancascade.execution.worker_process.WorkerProcess.answer",
    "pancascade.execution.worker_process.WorkerProcess.end",
    "pancascade.execution.parallel.wait",
]


@pytest.mark.parametrize("place", PLACES)
def test_ctrl_c_that_another_thread_takes_ends_the_workers_wherever_this_one_is(place, monkeypatch):
    """A thread that shows progress hears what this one has masked; the handler runs here all the same."""
    name, _, attribute = place.rpartition(".")
    owner = resolve_name(name)
    original = getattr(owner, attribute)

    def pressed_meanwhile(*arguments, **options):
        monkeypatch.setattr(owner, attribute, original)
        _thread.interrupt_main(signal.SIGINT)
        return original(*arguments, **options)

    others = set(active_children())  # of tests before this one
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        monkeypatch.setattr(owner, attribute, pressed_meanwhile)
        with pytest.raises(KeyboardInterrupt):
            list(each_in_processes(operator.neg, [1, 2, 3], workers=2))
    finally:
        signal.signal(signal.SIGINT, before)
    assert set(active_children()) <= others
