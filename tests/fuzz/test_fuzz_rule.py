"""The rule of the fuzz suite finds what it is for."""

import sys
import tempfile

import numpy as np
import pytest

if sys.platform != "linux":
    pytest.skip("limits of a process are told in /proc", allow_module_level=True)

from fuzz_kind import Kind
from fuzz_rule import Ended, Good, content, faults, in_folder
from kinds import KINDS, cases
from limits import HungError, limited


class Words(Kind):
    """A file of words; the answer is a file of the same words."""

    name, share, commands = "words", 1, ("say",)

    def build(self, folder):
        (folder / "words.txt").write_text("one two")
        (folder / "outrun").mkdir()
        (folder / "outrun" / "words.txt").write_text("one")

    def mutate(self, folder, random):
        return "nothing"

    def answer(self, folder, command):
        return dict.fromkeys((folder / "out" / "words.txt").read_text().split(), 1)

    def excused(self, folder, command, answer, good):
        return "excused" in answer


@pytest.fixture
def verdict(tmp_path):
    """What the rule says to an end and to the files that were written."""

    def judge(code, *, out="", err="", files=None, lines=()):
        folder = tmp_path / "case"
        folder.mkdir()
        Words().build(folder)
        before = content(folder)
        for name, text in (files or {}).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        good = Good(tmp_path, 0, {"one": 1, "two": 1}, frozenset(lines))
        ended = Ended(code, out, err)
        return faults(Words(), "say", folder, good=good, ended=ended, before=before)

    return judge


RIGHT = {"out/words.txt": "one two"}
SENTENCE = "Error: words.txt: holds no words. Write some.\n"


@pytest.mark.parametrize(
    ("code", "reported"),
    [
        (0, {"files": RIGHT}),
        (0, {"files": {"out/words.txt": "one"}, "err": "Warning: words.txt: two is missing.\n"}),
        (0, {"files": {"out/words.txt": "one excused"}}),
        (0, {"files": {**RIGHT, "outrun/words.txt": "one two"}}),
        (1, {"files": {"out/words.txt": "one"}, "out": "No numbers for two: words.txt: no such word.\n"}),
        (2, {"err": SENTENCE}),
        (2, {"err": SENTENCE, "files": {"out/refusal.json": "{}"}}),
    ],
)
def test_right_ends_pass(verdict, code, reported):
    assert verdict(code, **reported) == []


@pytest.mark.parametrize(
    ("code", "reported", "word"),
    [
        (None, {}, "did not end"),
        (70, {"err": "Error: unexpected KeyError: 1."}, "exit 70"),
        (2, {"err": ""}, "no sentence"),
        (2, {"err": "Usage: pancascade\n"}, "no sentence"),
        (2, {"err": "Error: one,\n  two\n"}, "no sentence"),
        (2, {"err": f"Error: {'x' * 200}\n"}, "207 characters"),
        (2, {"err": "Error: words.txt: Value error, no words\n"}, "Value error,"),
        (2, {"err": "/x/y.py:3: RuntimeWarning: divided\n" + SENTENCE}, ".py:3"),
        (2, {"err": SENTENCE, "files": {"out/words.txt": "on"}}, "refused, and left out/words.txt"),
        (2, {"err": SENTENCE, "files": {"words.txt": "other"}}, "changed words.txt"),
        (0, {"files": {**RIGHT, "core.1": ""}}, "left behind core.1"),
        (0, {"files": {**RIGHT, "out/.words.half": ""}}, "left behind out/.words.half"),
        (0, {"files": {}}, "cannot be read"),
        (0, {"files": {"out/words.txt": "one"}}, "without a word"),
        (0, {"files": {"out/words.txt": "one two three"}}, "without a word"),
        (0, {"files": {"out/words.txt": "one"}, "err": "as ever\n", "lines": ("as ever",)}, "without a word"),
        (1, {"files": RIGHT}, "exit 1 without a word"),
        (2, {"err": SENTENCE, "files": {"outrun/words.txt": "on"}}, "changed outrun/words.txt"),
        (1, {"files": RIGHT, "out": f"No numbers for two: {'x' * 201}\n"}, "201 characters"),
    ],
)
def test_wrong_ends_are_found(verdict, code, reported, word):
    (found,) = verdict(code, **reported)
    assert word in found


def test_an_empty_folder_that_a_refusal_leaves_is_found(tmp_path):
    (tmp_path / "out").mkdir()
    good = Good(tmp_path, 0, {}, frozenset())
    assert faults(Words(), "say", tmp_path, good=good, ended=Ended(2, "", SENTENCE), before={}) == [
        "refused, and left out"
    ]


def test_what_stays_in_the_folder_for_temporary_files_is_found(tmp_path):
    (tmp_path / "case").mkdir()
    with pytest.raises(AssertionError, match="left in the folder for temporary files"):
        in_folder(tmp_path / "case", tempfile.mkdtemp)


def test_what_never_ends_is_ended_by_its_own_processor_time():
    with pytest.raises(HungError), limited(cpu_s=0.2):
        while True:
            pass


def test_memory_has_an_end():
    with pytest.raises(MemoryError), limited(memory_bytes=2**28):
        np.ones(2**27)


def test_there_are_two_hundred_cases_of_every_kind_and_more_begin_with_them():
    few, many = list(cases(200)), list(cases(5000))
    assert len(few) == pytest.approx(200, abs=5)
    assert len(many) == pytest.approx(5000, abs=10)
    assert set(few) < set(many)
    assert {kind for kind, _ in few} == {kind.name for kind in KINDS if not kind.least_count}
    assert {kind for kind, _ in many} == {kind.name for kind in KINDS}
