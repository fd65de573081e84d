import errno
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict

import pytest

from pancascade.errors import OutputError
from pancascade.files import output_lock
from pancascade.files.output_lock import LOCK, Holder, lock_output

HOLD = """
import sys
from pathlib import Path
from pancascade.files.output_lock import lock_output
with lock_output(Path(sys.argv[1]), what="train"):
    print("held", flush=True)
    sys.stdin.read()
"""

RACE = """
import sys
from pathlib import Path
from pancascade.errors import OutputError
from pancascade.files.output_lock import lock_output
print("ready", flush=True)
sys.stdin.readline()
try:
    with lock_output(Path(sys.argv[1]), what="train"):
        print("held", flush=True)
        sys.stdin.readline()
except OutputError:
    print("refused", flush=True)
    sys.stdin.readline()
"""


def start(code, folder):
    command = [sys.executable, "-W", "error", "-c", code, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def write_lock(folder, **changes):
    folder.mkdir(exist_ok=True)
    holder = Holder("train", output_lock.socket.gethostname(), 2**22 + 1, "2024-05-01 10:00")
    (folder / LOCK).write_text(json.dumps(asdict(holder) | changes))


def test_a_held_folder_is_refused_in_one_sentence_and_free_afterwards(tmp_path):
    out = tmp_path / "out"
    with lock_output(out, what="prepare"):
        with pytest.raises(OutputError) as refused, lock_output(out, what="train"):
            pytest.fail("the body must not run")
        (out / "result.txt").write_text("mine")
    assert f"out: `prepare`, process {os.getpid()} on " in str(refused.value)
    assert "writes there. Wait for it, or choose another --out folder." in str(refused.value)
    assert len(str(refused.value)) <= 200
    assert str(tmp_path) not in str(refused.value)
    with (
        lock_output(out, what="a node"),
        pytest.raises(OutputError, match="choose another --folder"),
        lock_output(out, what="a node", option="--folder"),
    ):
        pytest.fail("the body must not run")
    with lock_output(out, what="train"):
        pass
    assert [path.name for path in out.iterdir()] == ["result.txt"]


def test_another_process_is_refused_until_the_holder_ends_and_a_killed_one_is_told_of(tmp_path, caplog):
    out = tmp_path / "out"
    holder = start(HOLD, out)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(OutputError, match=f"`train`, process {holder.pid} on"), lock_output(out, what="train"):
        pytest.fail("the body must not run")
    holder.kill()
    holder.communicate()
    assert (out / LOCK).exists()
    with lock_output(out, what="prepare"):
        assert f"out: `train`, process {holder.pid} on" in caplog.text
        assert "ended without releasing the folder" in caplog.text
        with pytest.raises(OutputError, match="`prepare`"), lock_output(out, what="train"):
            pytest.fail("the body must not run")
    assert not (out / LOCK).exists()


def test_of_many_that_want_a_folder_of_a_killed_run_one_gets_it(tmp_path):
    out = tmp_path / "out"
    write_lock(out)
    runs = [start(RACE, out) for _ in range(4)]
    for run in runs:
        assert run.stdout.readline() == "ready\n"
    for run in runs:
        run.stdin.write("go\n")
        run.stdin.flush()
    said = [run.stdout.readline() for run in runs]
    for run in runs:
        run.communicate("end\n")
    assert sorted(said) == ["held\n", *["refused\n"] * 3]
    assert list(out.iterdir()) == []


def test_a_lock_of_another_host_is_kept_and_the_message_says_what_to_delete(tmp_path):
    write_lock(tmp_path / "out", host="node7." + "x" * 300)
    before = (tmp_path / "out" / LOCK).read_bytes()
    with pytest.raises(OutputError) as refused, lock_output(tmp_path / "out", what="train"):
        pytest.fail("the body must not run")
    assert "node7" in str(refused.value)
    assert f"delete {LOCK} in the folder" in str(refused.value)
    assert len(str(refused.value)) <= 200
    assert (tmp_path / "out" / LOCK).read_bytes() == before


@pytest.mark.parametrize("content", ["", "{", "[]", '{"what": 1}', "[" * 4000, '{"process": 1e999}', "\x00" * 100])
def test_a_damaged_lock_that_nobody_holds_is_no_obstacle(tmp_path, content):
    (tmp_path / LOCK).write_text(content)
    with lock_output(tmp_path, what="train"):
        assert json.loads((tmp_path / LOCK).read_text())["process"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_where_the_system_cannot_tell_the_process_can(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(output_lock, "_is_free", lambda descriptor: None)
    write_lock(tmp_path, process=os.getpid())
    with pytest.raises(OutputError, match="writes there"), lock_output(tmp_path, what="train"):
        pytest.fail("the body must not run")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    write_lock(tmp_path, process=ended.pid)
    with lock_output(tmp_path, what="train"):
        assert "ended without releasing the folder" in caplog.text


def test_a_file_system_without_hard_links_has_locks_too(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(output_lock.os, "link", refuse)
    with lock_output(tmp_path, what="train"):
        assert [path.name for path in tmp_path.iterdir()] == [LOCK]
        with pytest.raises(OutputError, match="`train`"), lock_output(tmp_path, what="train"):
            pytest.fail("the body must not run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [RuntimeError("fault"), KeyboardInterrupt()])
def test_a_folder_made_for_nothing_is_gone_again(tmp_path, error):
    with pytest.raises(type(error)), lock_output(tmp_path / "out", what="train"):
        assert (tmp_path / "out").is_dir()
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="out: cannot be written"), lock_output(tmp_path / "out", what="train"):
        pytest.fail("the body must not run")


def test_a_lock_made_by_another_run_meanwhile_is_left_alone(tmp_path):
    with lock_output(tmp_path, what="train"):
        (tmp_path / LOCK).unlink()
        write_lock(tmp_path, host="node7")
    assert json.loads((tmp_path / LOCK).read_text())["host"] == "node7"


def test_the_lock_says_since_when(tmp_path):
    with lock_output(tmp_path, what="train"):
        content = json.loads((tmp_path / LOCK).read_text())
    assert content["what"] == "train"
    assert time.strptime(content["since"], "%Y-%m-%d %H:%M")


@pytest.mark.parametrize("links", [True, False])
def test_a_full_disk_leaves_no_open_file_and_no_lock(tmp_path, monkeypatch, links):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def unlinked(*_):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    opened, closed = [], []
    real_open, real_close = os.open, os.close
    monkeypatch.setattr(os, "open", lambda *given, **named: opened.append(real_open(*given, **named)) or opened[-1])
    monkeypatch.setattr(os, "close", lambda descriptor: closed.append(descriptor) or real_close(descriptor))
    if not links:
        monkeypatch.setattr(os, "link", unlinked)
    writes = iter([os.write] * (0 if links else 1))

    def write(*given):
        return next(writes, full)(*given)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OutputError, match="No space left"), lock_output(tmp_path, what="test"):
        raise AssertionError("the lock was not written")
    assert opened and sorted(opened) == sorted(closed)
    assert list(tmp_path.iterdir()) == []
