import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pancascade.errors import OutputError
from pancascade.files.atomic import (
    DRAFT,
    clear_drafts,
    clear_unfinished,
    drafts_in,
    written_together,
    written_whole,
)


def test_the_file_appears_only_when_all_went_well(tmp_path):
    target = tmp_path / "new" / "deep" / "scan.v2.nii.gz"
    with written_whole(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.suffixes[-2:] == [".nii", ".gz"]
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [RuntimeError("killed"), KeyboardInterrupt()])
def test_a_failure_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, error):
    target = tmp_path / "result.txt"
    target.write_text("old")
    with pytest.raises(type(error)), written_whole(target) as temporary:
        temporary.write_text("hal")
        raise error
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "no permission"),
        (errno.EIO, "I/O"),
    ],
)
def test_a_disk_that_gives_up_is_one_sentence(tmp_path, code, advice):
    target = tmp_path / "mask.nii.gz"
    sentence = rf"mask\.nii\.gz: cannot be written, .*{advice}"
    with pytest.raises(OutputError, match=sentence), written_whole(target) as temporary:
        temporary.write_text("x")
        raise OSError(code, "I/O error")
    assert list(tmp_path.iterdir()) == []


def test_a_path_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for target in (tmp_path / "file" / "mask.nii", tmp_path / "file" / "deeper" / "mask.nii"):
        with pytest.raises(OutputError, match="a part of the path is a file"), written_whole(target):
            pytest.fail("the body must not run")


def test_a_folder_is_refused_as_a_name(tmp_path):
    for target in (tmp_path, Path()):
        with pytest.raises(OutputError, match=r"existing folder\. Give a file name"), written_whole(target):
            pytest.fail("the body must not run")


def test_a_folder_nobody_can_make_is_refused():
    with pytest.raises(OutputError, match="cannot be written"), written_whole(Path("/proc/nowhere/mask.nii")):
        pytest.fail("the body must not run")


def test_a_name_too_long_is_refused(tmp_path):
    with pytest.raises(OutputError, match="too long"), written_whole(tmp_path / ("x" * 300)) as temporary:
        temporary.write_text("x")


def test_a_writer_that_wrote_nothing_is_an_error(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"), written_whole(tmp_path / "x.txt"):
        pass


NAMES = ("mask", "picture", "result")


def save_run(folder: Path, run: str, *, names=NAMES) -> None:
    with written_together(folder, names=NAMES) as draft:
        for name in names:
            (draft / name).write_text(run)


@pytest.mark.parametrize("after", range(4))
def test_a_run_killed_between_two_moves_leaves_no_seal_on_files_of_two_runs(tmp_path, monkeypatch, after):
    """Where the last file stands, all the others are of its run; else it is not there."""
    save_run(tmp_path, "old")
    steps = iter(range(10))

    def counted(step):
        def do(self, *given, **options):
            if next(steps) >= after:
                raise KeyboardInterrupt
            return step(self, *given, **options)

        return do

    with pytest.raises(KeyboardInterrupt), written_together(tmp_path, names=NAMES) as draft:
        for name in ("mask", "result"):
            (draft / name).write_text("new")
        monkeypatch.setattr(Path, "replace", counted(Path.replace))
        monkeypatch.setattr(Path, "unlink", counted(Path.unlink))
    monkeypatch.undo()
    runs = {name: (tmp_path / name).read_text() for name in NAMES if (tmp_path / name).exists()}
    assert "result" not in runs or set(runs.values()) == {"old"}
    with written_together(tmp_path, names=NAMES) as draft:
        for name in ("mask", "result"):
            (draft / name).write_text("new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"mask": "new", "result": "new"}


def test_drafts_of_killed_runs_are_found_and_nothing_else(tmp_path):
    (tmp_path / ".other").mkdir()
    (tmp_path / f"{DRAFT}file").write_text("")
    with written_together(tmp_path, names=["a"]) as draft:
        (draft / "a").write_text("")
        assert drafts_in(tmp_path) == [draft]
    assert drafts_in(tmp_path) == []


def test_what_killed_runs_have_left_goes_and_nothing_else_does(tmp_path):
    unfinished = [".12ab34cd.mask.nii.gz", "below/.12ab34cd.a.png"]
    others = [".12ab34cd.notes.txt", ".mask.nii.gz", "mask.nii.gz", f"{DRAFT}file"]
    (tmp_path / "below").mkdir()
    (tmp_path / f"{DRAFT}left").mkdir()
    for name in (*unfinished, *others, f"{DRAFT}left/mask.nii.gz"):
        (tmp_path / name).write_text("")
    clear_drafts(tmp_path)
    clear_unfinished(tmp_path, suffixes=(".nii.gz", ".png"))
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == set(others)


def test_files_written_at_once_by_several_threads_all_keep_the_usual_permissions(tmp_path, monkeypatch):
    usual, set_umask = os.umask(0o022), os.umask

    def slow_umask(mask):
        former = set_umask(mask)
        time.sleep(0.001)  # another thread may run between two calls
        return former

    def write(number):
        with written_whole(tmp_path / f"{number}.txt") as temporary:
            temporary.write_text("whole")
        return (tmp_path / f"{number}.txt").stat().st_mode & 0o777

    monkeypatch.setattr("pancascade.files.atomic.os.umask", slow_umask)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(write, range(40))) == {0o644}
    finally:
        assert set_umask(usual) == 0o022
