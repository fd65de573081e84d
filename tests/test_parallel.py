import os
import time

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
