import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pancascade.execution.parallel import available_cores, each_in_processes, worked_off


def square_or_die(number):
    if number == 3:
        os._exit(9)
    return number**2


def square(number):
    return number**2


def square_when_told(job):
    """A job that names a pipe is done when something is written into it."""
    number, pipe = job
    if pipe is not None:
        Path(pipe).read_bytes()
    return number**2


def refuse(number):
    raise ValueError(f"no {number}")


def test_here_jobs_are_done_in_order():
    assert list(each_in_processes(square, [0, 1, 2], workers=1)) == [(0, 0), (1, 1), (2, 4)]


def test_elsewhere_every_job_comes_back_once():
    assert sorted(each_in_processes(square, [0, 1, 2, 2], workers=2)) == [(0, 0), (1, 1), (2, 4), (2, 4)]


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes")
def test_what_is_finished_comes_back_while_others_are_at_work(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    jobs = [(0, str(tmp_path / "pipe")), (1, None), (2, None)]
    found = each_in_processes(square_when_told, jobs, workers=2)
    assert sorted([next(found), next(found)]) == [(jobs[1], 1), (jobs[2], 4)]
    (tmp_path / "pipe").write_bytes(b".")
    assert list(found) == [(jobs[0], 0)]


def test_a_process_that_dies_costs_its_own_job_only():
    found = dict(each_in_processes(square_or_die, [1, 2, 3, 4], workers=2))
    assert found == {1: 1, 2: 4, 3: None, 4: 16}


def die_once(folder):
    """As a job that has too little memory beside another one, and enough when it is alone."""
    mark = Path(folder) / "died"
    if not mark.exists():
        mark.touch()
        os._exit(9)
    return "done"


def test_a_job_whose_process_died_is_done_again(tmp_path):
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    assert dict(each_in_processes(die_once, list(map(str, folders)), workers=2)) == dict.fromkeys(
        map(str, folders), "done"
    )


def heeds_ctrl_c(_):
    return signal.getsignal(signal.SIGINT) is not signal.SIG_IGN


@pytest.mark.parametrize(("handler", "heeded"), [(signal.SIG_IGN, False), (signal.default_int_handler, True)])
def test_where_ctrl_c_is_to_be_ignored_it_is_in_other_processes_too(handler, heeded):
    before = signal.signal(signal.SIGINT, handler)
    try:
        assert dict(each_in_processes(heeds_ctrl_c, [0, 1], workers=2)) == {0: heeded, 1: heeded}
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_work_raises_is_raised(workers):
    with pytest.raises(ValueError, match="no 1") as raised:
        list(each_in_processes(refuse, [1, 1], workers=workers))
    notes = getattr(raised.value, "__notes__", [])
    assert any("In another process:" in note and "in refuse" in note for note in notes) == (workers > 1)


def test_there_is_a_core():
    assert available_cores() >= 1


KILLED = """
import sys
from test_parallel import tell_and_wait
from pancascade.execution.parallel import each_in_processes

if __name__ == "__main__":
    list(each_in_processes(tell_and_wait, sys.argv[1:], workers=2))
"""


def tell_and_wait(pipe):
    """Never ends by itself: nothing is written into the pipe, which ends with the test."""
    os.write(1, b".")
    Path(pipe).read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_workers_of_a_killed_run_do_not_outlive_it(tmp_path):
    (tmp_path / "run.py").write_text(KILLED)
    os.mkfifo(tmp_path / "pipe")
    keeper = os.open(tmp_path / "pipe", os.O_RDWR)
    command = [sys.executable, tmp_path / "run.py", tmp_path / "pipe", tmp_path / "pipe"]
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as run:
        assert run.stdout.read(2) == b".."
        run.kill()
        assert run.wait() == -signal.SIGKILL
        # The end of its output comes when the last process that could write there is gone.
        assert run.stdout.read() == b""
    os.close(keeper)


def test_more_workers_than_anybody_has_wait_for_no_job():
    assert list(worked_off(square, [], workers=10**15)) == []
