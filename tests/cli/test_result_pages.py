"""``pancascade cohort`` and ``pancascade compare-dates``: files out, one sentence for each fault."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

from result_examples import lesion, result

from pancascade.results.result import write_result


@pytest.fixture
def results(tmp_path) -> Path:
    write_result(result(), tmp_path / "all" / "a" / "result.json")
    later = result(
        scan="later.nii.gz", model="another", lesions=(lesion(), lesion(2, part="head", centroid_mm=(0, 0, 0)))
    )
    write_result(later, tmp_path / "all" / "b" / "result.json")
    return tmp_path / "all"


def test_cohort_writes_the_page_and_the_table(pancascade, results, tmp_path):
    code, out, _ = pancascade("cohort", results, "--out", tmp_path / "c.html", "--csv", tmp_path / "c.csv")
    assert code == 0
    assert "2 scans, 2 with lesions, 2 with warnings" in out
    assert "later.nii.gz" in (tmp_path / "c.html").read_text(encoding="utf-8")
    assert len((tmp_path / "c.csv").read_text(encoding="utf-8").splitlines()) == 3


def test_a_bad_result_costs_no_other_and_ends_with_one(pancascade, results, tmp_path):
    (results / "c").mkdir()
    (results / "c" / "result.json").write_text("{")
    code, out, err = pancascade("cohort", results, tmp_path / "missing", "--out", tmp_path / "c.html")
    assert code == 1
    assert "2 scans" in out
    assert "missing: no such folder" in err
    assert "result.json in c" in err
    assert "Traceback" not in err
    assert (tmp_path / "c.html").exists()


def test_cohort_without_any_result_is_one_sentence_and_no_page(pancascade, tmp_path):
    code, _, err = pancascade("cohort", tmp_path, "--out", tmp_path / "c.html")
    assert code == 2
    assert err.startswith("Error: No result could be read. The first reason: ")
    assert not (tmp_path / "c.html").exists()


def test_compare_dates_prints_and_writes_what_changed(pancascade, results, tmp_path):
    arguments = ("--out", tmp_path / "f.html", "--json", tmp_path / "f.json")
    code, out, _ = pancascade("compare-dates", results / "a", results / "b", *arguments)
    assert code == 0
    for words in ("other_model", "pancreas with tumours", "RECIST", "Research only", "new"):
        assert words in out
    assert json.loads((tmp_path / "f.json").read_text())["models"] == ["a-model", "another"]
    assert "Follow-up" in (tmp_path / "f.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [None, "{", "[]", '{"format": 99, "scan": "s"}', '{"scan": "s", "model": "m"}'])
def test_a_date_without_a_usable_result_is_one_sentence(pancascade, results, tmp_path, content):
    bad = tmp_path / "bad"
    if content is not None:
        bad.mkdir()
        (bad / "result.json").write_text(content)
    code, _, err = pancascade("compare-dates", results / "a", bad, "--out", tmp_path / "f.html")
    assert code == 2
    assert err.startswith("Error: ")
    assert "bad" in err
    assert "Traceback" not in err
    assert not (tmp_path / "f.html").exists()


@pytest.mark.parametrize("verb", ["cohort", "compare-dates"])
def test_a_page_that_cannot_be_written_is_one_sentence(pancascade, results, tmp_path, verb):
    (tmp_path / "file").write_text("")
    paths = (results,) if verb == "cohort" else (results / "a", results / "b")
    code, _, err = pancascade(verb, *paths, "--out", tmp_path / "file" / "p.html")
    assert code == 2
    assert "cannot be written" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("cohort", "{all}", "--out", "{tmp}/x", "--csv", "{tmp}/x"), "also the file of --out"),
        (("cohort", "{all}", "--out", "{all}/a/result.json"), "also a result that is read"),
        (("cohort", "{all}", "--out", "{tmp}/x", "--csv", "{all}/b/report.html"), "also a result that is read"),
        (("compare-dates", "{all}/a", "{all}/b", "--out", "{tmp}/x", "--json", "{tmp}/x"), "also the file of --out"),
        (("compare-dates", "{all}/a", "{all}/b", "--json", "{all}/b/result.json"), "also a result that is read"),
        (("compare-dates", "{all}/a/result.json", "{all}/b", "--json", "{all}/a/result.json"), "also a result"),
    ],
)
def test_nothing_is_written_over_a_result_or_twice(pancascade, results, tmp_path, arguments, says):
    before = {path: path.read_bytes() for path in results.rglob("*.json")}
    code, _, err = pancascade(*(word.format(all=results, tmp=tmp_path) for word in arguments))
    assert (code, err.count("\n")) == (2, 1)
    assert says in err
    assert {path: path.read_bytes() for path in results.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(("option", "ending"), [("--out", ".html"), ("--csv", ".csv")])
def test_a_file_of_another_kind_is_never_replaced(pancascade, results, tmp_path, option, ending):
    other = tmp_path / "scan.nii.gz"
    other.write_bytes(b"another patient's scan")
    pages = () if option == "--out" else ("--out", tmp_path / "c.html")
    code, _, err = pancascade("cohort", results, option, other, *pages)
    assert (code, err.count("\n")) == (2, 1)
    assert "this file exists" in err
    assert ending in err
    assert other.read_bytes() == b"another patient's scan"
    assert not (tmp_path / "c.html").exists()


@pytest.mark.parametrize("arguments", [("cohort", "{all}"), ("compare-dates", "{all}/a", "{all}/b")])
def test_a_page_in_place_of_a_link_that_leads_to_itself_is_no_fault_of_the_program(
    pancascade, results, tmp_path, arguments
):
    (results / "b" / "report.html").symlink_to("report.html")
    code, _, err = pancascade(*(word.format(all=results) for word in arguments), "--out", tmp_path / "x.html")
    assert (code, err) == (0, "")
    assert (tmp_path / "x.html").is_file()
