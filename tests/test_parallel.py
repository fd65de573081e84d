import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pancascade.parallel import available_cores, each_in_processes


def square_or_die(number):
    if number == 3:
        os._exit(9)
    return number**2


def square_slowly(number):
    time.sleep(0.05 * (3 - number))
    return number**2


def refuse(number):
    raise ValueError(f"no {number}")


def test_here_jobs_are_done_in_order():
    assert list(each_in_processes(square_slowly, [0, 1, 2], workers=1)) == [(0, 0), (1, 1), (2, 4)]


def test_elsewhere_every_job_comes_back_once():
    assert sorted(each_in_processes(square_slowly, [0, 1, 2, 2], workers=2)) == [(0, 0), (1, 1), (2, 4), (2, 4)]


def test_a_process_that_dies_costs_its_own_job_only():
    found = dict(each_in_processes(square_or_die, [1, 2, 3, 4], workers=2))
    assert found == {1: 1, 2: 4, 3: None, 4: 16}


@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_work_raises_is_raised(workers):
    with pytest.raises(ValueError, match="no 1"):
        list(each_in_processes(refuse, [1, 1], workers=workers))


def test_there_is_a_core():
    assert available_cores() >= 1


KILLED = """
import sys
from test_parallel import tell_and_wait
from pancascade.parallel import each_in_processes

if __name__ == "__main__":
    list(each_in_processes(tell_and_wait, [sys.argv[1], sys.argv[1]], workers=2))
"""


def tell_and_wait(folder):
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(120)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_workers_of_a_killed_run_do_not_outlive_it(tmp_path):
    (tmp_path / "run.py").write_text(KILLED)
    (tmp_path / "told").mkdir()
    command = [sys.executable, tmp_path / "run.py", tmp_path / "told"]
    run = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)})
    workers = wait_for(
        lambda: found if len(found := [int(p.name) for p in (tmp_path / "told").iterdir()]) == 2 else None
    )
    run.kill()
    run.wait()
    assert wait_for(lambda: not any(map(is_alive, workers)))


def wait_for(what, *, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end and not what():
        time.sleep(0.1)
    return what()


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    # Where nobody buries the dead, they stay as zombies.
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
