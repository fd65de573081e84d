import json
import os
import tracemalloc

import pytest

from pancascade.errors import OutputError
from pancascade.segmentation.batch.ledger import CodedSentence, Ledger, LedgerEntry


def entry(case: str, **more) -> LedgerEntry:
    return LedgerEntry(case=case, **{"state": "done", "input": "x", **more})


def test_every_line_is_there_as_soon_as_it_is_added(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.add(entry("a", seconds=2.5, warnings=(CodedSentence(code="few_slices", sentence="Only 8 slices."),)))
    (line,) = (tmp_path / "ledger.jsonl").read_text().splitlines()
    assert json.loads(line)["warnings"] == [{"code": "few_slices", "sentence": "Only 8 slices."}]
    ledger.close()


def test_the_last_line_of_a_case_counts(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.add(entry("a", state="failed"))
    ledger.add(entry("a"))
    ledger.close()
    assert Ledger(tmp_path).entries["a"].state == "done"


@pytest.mark.parametrize("cut", [1, 20])
def test_a_torn_last_line_goes_and_the_next_one_is_whole(tmp_path, caplog, cut):
    ledger = Ledger(tmp_path)
    for case in ("a", "b"):
        ledger.add(entry(case))
    ledger.close()
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    healed = Ledger(tmp_path)
    assert list(healed.entries) == ["a"]
    assert "incomplete" in caplog.text
    healed.add(entry("c"))
    healed.close()
    assert [json.loads(line)["case"] for line in path.read_text().splitlines()] == ["a", "c"]


@pytest.mark.parametrize("line", ["{", "[1]", '{"case": "b", "state": "lost", "input": ""}', "\x00\x00", "[" * 5000])
def test_a_damaged_line_costs_no_other(tmp_path, caplog, line):
    ledger = Ledger(tmp_path)
    ledger.add(entry("a"))
    ledger.close()
    with (tmp_path / "ledger.jsonl").open("a") as file:
        file.write(f"{line}\n")
    ledger = Ledger(tmp_path)
    ledger.add(entry("c"))
    ledger.close()
    assert list(Ledger(tmp_path).entries) == ["a", "c"]
    assert "1 damaged" in caplog.text


def test_of_a_line_that_does_not_fit_on_the_disk_nothing_stays(tmp_path, monkeypatch):
    ledger = Ledger(tmp_path)
    ledger.add(entry("a"))
    before = (tmp_path / "ledger.jsonl").read_bytes()
    write = os.write
    monkeypatch.setattr("os.write", lambda descriptor, line: write(descriptor, line[:10]))
    with pytest.raises(OutputError, match="the disk is full"):
        ledger.add(entry("b"))
    monkeypatch.undo()
    assert list(ledger.entries) == ["a"]
    assert (tmp_path / "ledger.jsonl").read_bytes() == before
    ledger.close()


def test_a_ledger_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "ledger.jsonl").mkdir()
    with pytest.raises(OutputError, match=r"ledger\.jsonl: cannot be written \(is a directory\)"):
        Ledger(tmp_path)


def test_of_a_long_ledger_no_line_stays_in_memory(tmp_path):
    sentence = CodedSentence(code="few_slices", sentence="Only 8 slices. " * 400)  # longer than is read at once
    ledger = Ledger(tmp_path)
    tracemalloc.start()
    try:
        for number in range(200):
            ledger.add(entry(f"case-{number}", warnings=(sentence,)))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < (tmp_path / "ledger.jsonl").stat().st_size / 10
    assert ledger.entries["case-150"].warnings == (sentence,)
    assert [one.case for one in ledger.entries.values()] == [f"case-{number}" for number in range(200)]
    ledger.close()
