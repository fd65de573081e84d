"""A folder that a table was planned for, or refused in: what stays there, and what may begin there afterwards."""

import errno
import json
import os
from contextlib import contextmanager
from importlib import import_module

import pytest
import yaml
from tiny_tables import tiny_paper, write_tiny_msd

from pancascade.data.readers import Layout
from pancascade.data.readers.data_reading import DataReading
from pancascade.errors import DataError, OutputError
from pancascade.files.atomic import written_whole
from pancascade.reproduction import Choices, DataPlace, Request, Resources, prepare, reproduce

FILES = ("cases.json", "reproduction.json", "split.json")


@pytest.fixture(scope="module")
def msd(tmp_path_factory):
    return write_tiny_msd(tmp_path_factory.mktemp("msd") / "Task07_Pancreas", patients=4)


@pytest.fixture
def asked(msd, tmp_path):
    paper = tiny_paper("qiu2024", tmp_path)
    place = DataPlace(msd, DataReading(layout=Layout.MSD))

    def request(*, resume=False, split=None, **choices):
        chosen = Choices("small", epochs=1, rows=("U",), **choices)
        return Request(str(paper), "3", place, tmp_path / "out", chosen, resume=resume, split=split)

    return request


def left_in(folder):
    return sorted(path.name for path in folder.rglob("*"))


def test_a_table_that_is_refused_for_its_folds_leaves_nothing(asked, tmp_path):
    with pytest.raises(DataError, match="the split has no folds"):
        prepare(asked(folds=(9,)))
    assert left_in(tmp_path / "out") == []


@pytest.mark.parametrize("full_at", FILES)
def test_a_table_that_is_refused_on_a_full_disk_leaves_nothing(asked, tmp_path, monkeypatch, full_at):
    @contextmanager
    def full(path):
        with written_whole(path) as temporary:
            if path.name == full_at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            yield temporary

    for module in ("reproduction.reproduce", "reproduction.counted_cases", "data.splits.splits"):
        monkeypatch.setattr(import_module(f"pancascade.{module}"), "written_whole", full)
    with pytest.raises(OutputError, match=rf"{full_at}: cannot be written, the disk is full"):
        prepare(asked())
    assert left_in(tmp_path / "out") == []


def test_a_table_that_was_only_planned_begins_without_resume_and_with_other_options(asked, tmp_path):
    planned = prepare(asked())
    assert left_in(tmp_path / "out") == list(FILES)
    begun = prepare(asked(seed=1))
    assert [one.name for one in planned.left()] != [one.name for one in begun.left()]
    again = prepare(asked(seed=1, resume=True))
    assert [one.name for one in again.left()] == [one.name for one in begun.left()]
    with pytest.raises(OutputError, match="out was begun with seed 1, but now it is 0"):
        prepare(asked(resume=True))
    assert left_in(tmp_path / "out") == list(FILES)


def test_a_refusal_removes_nothing_that_was_there_before(asked, tmp_path):
    prepare(asked())
    with pytest.raises(DataError, match="the split has no folds"):
        prepare(asked(folds=(9,)))
    assert left_in(tmp_path / "out") == list(FILES)


@pytest.mark.parametrize("name", ["table.json", "trainings"])
def test_a_table_with_a_row_or_a_training_is_continued_only_with_resume(asked, tmp_path, name):
    prepare(asked())
    (tmp_path / "out" / name).mkdir()
    with pytest.raises(OutputError, match=r"out: holds a table already. Continue with --resume"):
        prepare(asked())


def test_a_table_of_which_no_row_can_be_planned_is_still_written(asked, tmp_path):
    request = asked()
    (found,) = tmp_path.glob("*.yaml")
    paper = yaml.safe_load(found.read_text(encoding="utf-8"))
    row = next(row for row in paper["tables"]["3"]["rows"] if row["name"] == "U")
    row["make"].setdefault("changes", {})["cascade"] = {"kind": "single_stage", "network": {"name": "nothing"}}
    row["make"].pop("small", None)
    found.write_text(yaml.safe_dump(paper), encoding="utf-8")
    prepared = prepare(request)
    (tmp_path / "out" / "table.json").write_text("{}", encoding="utf-8")
    _, failures = reproduce(prepared, Resources(prepared.trainings))
    assert len(failures) == 1
    assert "U: not made" in failures[0]
    written = json.loads((tmp_path / "out" / "table.json").read_text(encoding="utf-8"))
    assert [row["made"] for row in written["rows"]] == [False] * len(written["rows"])
