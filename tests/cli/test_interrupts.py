"""Ctrl-C at the wrong moment."""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from pancascade.cli.interrupts import interrupt_held_back


def press() -> None:
    signal.raise_signal(signal.SIGINT)  # to this thread: a process's signal may wait for another one


def test_ctrl_c_waits_until_the_block_is_done():
    done = []
    with pytest.raises(KeyboardInterrupt), interrupt_held_back():
        press()
        done.append("the rest")
    assert done == ["the rest"]


def test_afterwards_ctrl_c_is_what_it_was():
    with interrupt_held_back():
        pass
    with pytest.raises(KeyboardInterrupt):
        press()


def test_what_goes_wrong_inside_comes_out_and_ctrl_c_is_what_it_was():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), interrupt_held_back():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is before


def test_in_a_thread_it_does_nothing():
    def work() -> str:
        with interrupt_held_back():
            return "done"

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() == "done"
