"""What work says of itself while it is at it."""

import os
import signal
import sys
from threading import Thread

import pytest

from pancascade.execution.parallel import each_in_processes, interrupts_held
from pancascade.execution.worker_process import Answer, Reported, WorkerProcess, send_to_parent


def counted(most: int) -> int:
    for number in range(most):
        send_to_parent(number)
    return most


def dying(how: str) -> None:
    send_to_parent(how)
    os.kill(os.getpid(), signal.SIGKILL)


def said_by(process: WorkerProcess) -> tuple[list, Answer | None]:
    said = []
    while isinstance(received := process.receive(), Reported):
        said.append(received.message)
    return said, received


def test_work_tells_how_far_it_is_and_its_answer_comes_last():
    process = WorkerProcess(counted, 3)
    said, answer = said_by(process)
    assert (said, answer.result()) == ([0, 1, 2], 3)
    process.begin(1)
    assert process.lives
    assert process.answer().result() == 1  # what was told before it is passed over
    process.end()


def test_what_a_process_has_told_before_it_died_is_heard():
    process = WorkerProcess(dying, "out of memory")
    assert said_by(process) == (["out of memory"], None)
    process.end()


def test_nobody_listens_where_there_is_no_other_process():
    assert list(each_in_processes(counted, [2, 3], workers=1)) == [(2, 2), (3, 3)]


def loses_the_first_signal(_: None) -> None:
    """Work that does not notice its first SIGTERM, as if it came just before a wait."""
    notices = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, notices))
    send_to_parent("ready")
    while True:
        signal.pause()


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_a_process_that_did_not_notice_the_signal_gets_it_again():
    with interrupts_held():
        process = WorkerProcess(loses_the_first_signal, None)
    assert process.receive() == Reported("ready")
    process.stop()
    ending = Thread(target=process.end, kwargs={"stopped": True}, daemon=True)
    ending.start()
    ending.join(120)
    try:
        assert not ending.is_alive()
    finally:
        if ending.is_alive():
            process.kill()
