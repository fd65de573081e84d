import os
import signal
import sys
from pathlib import Path

import pytest

from pancascade.execution import Finished, LocalProcesses, each_job

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")


def square(number):
    return number**2


def square_or_die(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


def refuse(number):
    raise ValueError(f"no {number}")


def threads(_):
    return os.environ["OMP_NUM_THREADS"]


def tell_and_wait(folder):
    """Never ends by itself: nothing is written into the pipe, which ends with the test."""
    half = Path(folder) / "half-written"
    half.touch()
    try:
        (Path(folder) / "begun").write_bytes(b".")
        (Path(folder) / "pipe").read_bytes()
    finally:
        half.unlink()


def test_every_job_comes_back_once_and_none_is_taken_before_it_is_needed():
    taken = []

    def jobs():
        for number in range(6):
            taken.append(number)
            yield number

    ahead = []
    found = {}
    for done in LocalProcesses(2, threads=1).run(square, jobs()):
        found[done.job] = done.result
        ahead.append(len(taken) - len(found))
    assert found == {number: number**2 for number in range(6)}
    # A result is handed over before its process is given another job: a kill in between costs one of them, not both.
    assert max(ahead) <= 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_process_that_is_killed_costs_its_own_job_and_the_others_go_on(workers):
    found = {done.job: done for done in LocalProcesses(workers, threads=1).run(square_or_die, [1, 2, 3, 4, 5])}
    assert {job: done.result for job, done in found.items()} == {1: 1, 2: 4, 3: None, 4: 16, 5: 25}
    assert "killed" in found[3].lost
    assert found[1] == Finished(1, 1)


def test_what_the_work_raises_is_raised():
    with pytest.raises(ValueError, match="no 1"):
        list(LocalProcesses(2, threads=1).run(refuse, [1, 1]))


@pytest.mark.parametrize(("asked", "given"), [(None, "3"), ("1", "1"), ("8", "3"), ("none", "3")])
def test_a_process_has_its_share_of_the_threads_and_no_more_than_was_asked_for(monkeypatch, asked, given):
    if asked is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert [done.result for done in LocalProcesses(1, threads=3).run(threads, [0])] == [given]
    assert os.environ.get("OMP_NUM_THREADS") == asked


def test_cores_are_divided_among_the_processes(monkeypatch):
    monkeypatch.setattr("pancascade.execution.local_processes.available_cores", lambda: 8)
    assert [LocalProcesses(workers).threads for workers in (1, 3, 8, 20)] == [8, 2, 1, 1]
    assert LocalProcesses().workers == 8


def test_closing_ends_what_is_at_work_and_clears_away_what_is_half_written(tmp_path):
    for name in ("begun", "pipe"):
        os.mkfifo(tmp_path / name)
    found = LocalProcesses(2, threads=1).run(square_or_wait, [1, str(tmp_path)])
    assert next(found).result == 1
    (tmp_path / "begun").read_bytes()
    found.close()
    assert not (tmp_path / "half-written").exists()


def square_or_wait(job):
    return tell_and_wait(job) if isinstance(job, str) else square(job)


class Cluster:
    """An executor in whose hands the second job dies."""

    def run(self, work, jobs):
        for job in jobs:
            yield Finished(job, None, lost="died") if job == 2 else Finished(job, work(job))


def test_jobs_are_done_by_the_executor_if_there_is_one():
    assert list(each_job(square, [1, 2, 3], workers=1)) == [(1, 1), (2, 4), (3, 9)]
    assert list(each_job(square, [1, 2, 3], workers=1, executor=Cluster())) == [(1, 1), (2, None), (3, 9)]
