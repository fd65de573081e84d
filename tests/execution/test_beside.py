import threading

import pytest

from pancascade.execution.beside import beside


def test_the_work_runs_while_the_block_does():
    met = threading.Barrier(2, timeout=120)

    def work():
        met.wait()
        return threading.current_thread()

    with beside(work) as result:
        met.wait()
        assert result() is not threading.current_thread()


def test_without_a_thread_the_work_runs_where_its_result_is_requested():
    with beside(threading.current_thread, when=False) as result:
        assert result() is threading.current_thread()


def test_an_error_of_the_work_is_raised_where_its_result_is_requested():
    def work():
        raise KeyError("lost")

    with beside(work) as result, pytest.raises(KeyError, match="lost"):
        result()


def test_an_error_of_the_block_waits_for_the_end_of_the_work():
    may_end, ended = threading.Event(), []

    def work():
        may_end.wait(120)
        ended.append(True)

    def fail():
        with beside(work):
            may_end.set()
            raise ValueError("the block's own")

    with pytest.raises(ValueError, match="own"):
        fail()
    assert ended
