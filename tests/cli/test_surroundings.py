"""Where a command runs: a full device for its output, a working folder that is gone, too little memory."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pancascade.cli import spoken
from pancascade.execution.memory_shortage import is_memory_shortage

FULL = Path("/dev/full")
RUN = "from pancascade.cli.app import main; main()"


def ended(*arguments, cwd, stdout):
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(Path(place).resolve()) for place in sys.path if place),
    }
    return subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        env=environment,
        cwd=cwd,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has this device")
@pytest.mark.parametrize("arguments", [["--version"], ["models"], ["data", "--help"]])
def test_output_that_cannot_be_printed_is_one_sentence(tmp_path, arguments):
    with FULL.open("w") as full:
        end = ended(*arguments, cwd=tmp_path, stdout=full)
    assert end.returncode == 2
    assert end.stderr == (
        "Error: the output cannot be printed (No space left on device). Files are complete; print elsewhere, or use "
        "--quiet.\n"
    )


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has this device")
def test_a_log_file_on_a_disk_that_becomes_full_ends_and_the_run_does_not(pancascade, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(spoken._LogFile, "_open", lambda _: FULL.open("w", encoding="utf-8"))
    code, out, err = pancascade("models", "--log-file", tmp_path / "log.txt")
    assert (code, err) == (0, "")
    assert "qiu2024-small" in out
    assert [record.getMessage() for record in caplog.records] == [
        "--log-file log.txt: ends too early, it cannot be written any more (No space left on device)."
    ]


def test_a_log_file_that_cannot_be_begun_is_not_left_empty(pancascade, tmp_path, monkeypatch):
    def full(path, *_, **__):
        path.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    code, _, err = pancascade("models", "--log-file", tmp_path / "log.txt")
    assert (code, list(tmp_path.iterdir())) == (2, [])
    assert err.startswith("Error: --log-file log.txt: cannot be written (No space left on device).")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps the folder of a process")
def test_a_working_folder_that_is_gone_is_named(pancascade, tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    try:
        code, _, err = pancascade("segment", tmp_path / "scan.nii.gz", "-o", "out")
    finally:
        os.chdir(tmp_path)
    assert (code, err) == (2, "Error: the working folder no longer exists. Change to another folder.\n")


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), True),
        (ImportError("lib.so: cannot open shared object file: Cannot allocate memory"), True),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), True),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), False),
        (ImportError("No module named 'nothing'"), False),
    ],
)
def test_a_library_that_does_not_fit_is_a_shortage_of_memory(error, short):
    assert is_memory_shortage(error) == short


LONG = "x" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ["models", LONG],
        ["view", LONG],
        ["cohort", LONG, "-o", "c.html"],
        ["export", "none.safetensors", "-o", LONG],
        ["train", LONG, "-o", "out"],
        ["reproduce", "qiu2024", LONG, "--data", ".", "-o", "out"],
        ["data", "split", ".", "--design", LONG, "-o", "out.json"],
        ["models", "--log-file", LONG],
        ["join", f"first={LONG}", "-o", "out.safetensors"],
    ],
)
def test_too_long_a_name_is_one_short_sentence(pancascade, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    code, _, err = pancascade(*arguments)
    assert code == 2
    assert err.startswith("Error: ")
    assert len(err.strip()) <= 200
    assert list(tmp_path.iterdir()) == []


def test_join_writes_a_name_that_models_have(pancascade, tmp_path):
    code, _, err = pancascade("join", "first=a.safetensors", "-o", tmp_path / "joined.txt")
    assert (code, err) == (
        2,
        "Error: joined.txt: a checkpoint's name ends in .safetensors. Choose another --out.\n",
    )
