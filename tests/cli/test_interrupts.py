"""Ctrl-C at the wrong moment."""

import signal
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from pancascade.execution.interrupts import ENDING, endings_heeded, interrupt_held_back


@pytest.fixture(autouse=True)
def ctrl_c_is_heeded() -> Iterator[None]:
    """A run that was started in the background is told to ignore it, and its tests inherit that."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


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


@contextmanager
def as_in_a_terminal(number: int) -> Iterator[None]:
    """Tests may run where somebody told them to ignore a signal."""
    former = signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(number, former)


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_to_end_unwinds_the_program_and_comes_no_second_time(number, tmp_path):
    before = signal.getsignal(number)
    with as_in_a_terminal(number), pytest.raises(SystemExit) as ended, endings_heeded():
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)
            (tmp_path / "cleaned").touch()
    assert ended.value.code == 128 + number
    assert (tmp_path / "cleaned").exists()
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_to_end_waits_like_ctrl_c_until_the_block_is_done(number):
    done = []
    with as_in_a_terminal(number), pytest.raises(SystemExit), endings_heeded(), interrupt_held_back():
        signal.raise_signal(number)
        done.append("the rest")
    assert done == ["the rest"]


def test_what_is_told_to_ignore_a_hung_up_terminal_goes_on():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with endings_heeded(), interrupt_held_back():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def end_here(*_: object, **__: object) -> None:
    signal.raise_signal(signal.SIGTERM)


def ended(answer: tuple[int, str, str]) -> None:
    code, _, err = answer
    assert code == 128 + signal.SIGTERM
    assert err.startswith("Interrupted. Nothing half-written was left")
    assert err.count("\n") == 1


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """The folder of temporary files, empty."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def left_in(temporary: Path) -> list[str]:
    """What is not the cache that torch makes on import."""
    return [path.name for path in temporary.iterdir() if not path.name.startswith("torchinductor_")]


@pytest.mark.parametrize("where", ["pancascade.segmentation.segmenter.check_input", "pancascade.report.write_overview"])
def test_a_segmentation_that_is_told_to_end_leaves_nothing(
    pancascade, knows_the_phantom, scan, tmp_path, temporary, monkeypatch, where
):
    monkeypatch.setattr(where, end_here)
    ended(pancascade("segment", scan, "--out", tmp_path / "out", "--max-memory", "64"))
    assert not (tmp_path / "out").exists()
    assert left_in(temporary) == []


def test_an_unpacked_archive_goes_when_the_run_is_told_to_end(pancascade, tmp_path, temporary, monkeypatch):
    with zipfile.ZipFile(tmp_path / "scan.zip", "w") as archive:
        archive.writestr("a/IM1", "nothing")
    monkeypatch.setattr("pancascade.imaging.io.dicom.series.search", end_here)
    ended(pancascade("segment", tmp_path / "scan.zip", "--out", tmp_path / "out"))
    assert left_in(temporary) == []
    assert not (tmp_path / "out").exists()


def test_the_recipe_of_another_source_goes_when_the_run_is_told_to_end(pancascade, tmp_path, temporary, monkeypatch):
    monkeypatch.setattr("pancascade.training.recipe_on", lambda *_, **__: "text")
    monkeypatch.setattr("pancascade.training.processes.fit", end_here)
    ended(pancascade("train", "unet_demo", "--source", tmp_path / "data", "--out", tmp_path / "run"))
    assert left_in(temporary) == []
