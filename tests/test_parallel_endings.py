"""A run that is told to end takes its workers with it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ENDED = """
import sys
from test_parallel_endings import tell_and_wait
from pancascade.cli.interrupts import endings_heeded
from pancascade.parallel import each_in_processes

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
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "src")]
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
