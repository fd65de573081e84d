"""Many results: all read, bad ones listed, one sound page, a table with the same numbers."""

import csv
import json
import re

import pytest
from result_examples import EXPLANATION, WARNING, Page, diameters, lesion, patient, result

from pancascade.files.digests import content_digest
from pancascade.report.scan.cohort import find_results, read_cohort
from pancascade.report.scan.cohort_page import has_reports_elsewhere, write_cohort
from pancascade.report.scan.cohort_table import write_cohort_csv
from pancascade.report.scan.histogram import make_histogram
from pancascade.report.scan.overview import write_overview
from pancascade.results.result import write_result


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "results"
    several = (lesion(1, diameters=diameters(8, 5)), lesion(2, diameters=diameters(31.5, 4)))
    write_result(result(), root / "a" / "result.json")
    write_result(
        result(scan="x/b.nii.gz", lesions=several, notices=(EXPLANATION,), warnings=()),
        root / "deep" / "b" / "result.json",
    )
    write_result(result(scan="c.nii.gz", lesions=(), tumour_score=None, location=None), root / "c" / "result.json")
    (root / "a" / "report.html").write_text("report")
    return root


def written(tmp_path, cohort) -> str:
    write_cohort(tmp_path / "cohort.html", cohort)
    return (tmp_path / "cohort.html").read_text(encoding="utf-8")


def test_results_are_found_in_folders_below_each_once(folder):
    files, without = find_results([folder, folder / "a", folder / "c" / "result.json"])
    assert [file.parent.name for file in files] == ["a", "c", "b"]
    assert without == []


def test_drafts_in_hidden_folders_are_not_results(folder):
    (folder / ".draft").mkdir()
    (folder / ".draft" / "result.json").write_text("{")
    assert len(find_results([folder])[0]) == 3


def test_bad_results_cost_no_other_and_are_named(folder, tmp_path):
    (folder / "bad").mkdir()
    (folder / "bad" / "result.json").write_text("{")
    (folder / "old").mkdir()
    (folder / "old" / "result.json").write_text(json.dumps({"scan": "s", "model": "m"}))
    (tmp_path / "empty").mkdir()
    cohort = read_cohort([folder, tmp_path / "missing", tmp_path / "empty"])
    assert len(cohort.rows) == 3
    reasons = "\n".join(entry.reason for entry in cohort.unreadable)
    assert len(cohort.unreadable) == 4
    for words in ("missing: no such folder", "empty: no result.json", "result.json in bad: ", "result.json in old: "):
        assert words in reasons
    text = written(tmp_path, cohort)
    assert "4 places without a usable result" in text
    assert "missing: no such folder" in text


def test_refused_scans_are_listed_with_their_reason(folder, tmp_path):
    (folder / "r").mkdir()
    (folder / "r" / "refusal.json").write_text(json.dumps({"code": "not_ct", "sentence": "x.nii.gz: is no CT."}))
    (folder / "s").mkdir()
    (folder / "s" / "refusal.json").write_text("[]")
    cohort = read_cohort([folder])
    assert len(cohort.rows) == 3
    first, second = (entry.reason for entry in cohort.unreadable)
    assert first == "refusal.json in r: the scan was refused. x.nii.gz: is no CT."
    assert "the reason cannot be read" in second
    assert "x.nii.gz: is no CT." in written(tmp_path, cohort)


def test_the_page_holds_the_numbers_links_and_codes_of_every_scan(folder, tmp_path):
    text = written(tmp_path, read_cohort([folder]))
    page = Page(text)
    page.assert_sound(text)
    assert [link for link in page.links if not link.startswith("#")] == ["results/a/report.html"]
    lines = re.findall(r"<tr><th>.*?</tr>", text, re.DOTALL)
    cells = [re.sub("<.*?>", "|", line) for line in lines]
    (first,) = [line for line in cells if "scan.nii.gz" in line]
    for words in ("|1|", "|12.0|", "|0.87|", "|0.93|", "organ_at_edge"):
        assert words in first
    (second,) = [line for line in cells if "b.nii.gz" in line]
    assert "|31.5|" in second
    assert "|2|" in second
    assert "organ_at_edge" not in second
    (third,) = [line for line in cells if "c.nii.gz" in line]
    assert third.count("|–|") == 3
    assert WARNING.sentence in page.shown
    assert "None" not in page.shown


def test_the_table_sorts_and_filters(folder, tmp_path):
    text = written(tmp_path, read_cohort([folder]))
    assert 'class="sortable" id="every"' in text
    assert 'id="filter"' in text
    assert 'id="count"' in text
    script = text[text.index("<script>") :]
    assert "function sort(head)" in script
    assert "haystack" in script


def test_csv_holds_the_same_numbers(folder, tmp_path):
    cohort = read_cohort([folder])
    write_cohort_csv(tmp_path / "c.csv", cohort)
    with (tmp_path / "c.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    for line, row in zip(lines, cohort.rows, strict=True):
        assert line["scan"] == row.scan
        assert float(line["pancreas_ml"]) == row.pancreas_ml
        assert float(line["tumour_ml"]) == row.tumour_ml
        assert int(line["lesions"]) == row.lesions
        for name in ("largest_mm", "tumour_score", "location_confidence"):
            assert (float(line[name]) if line[name] else None) == getattr(row, name)
        assert int(line["warnings"]) == len(row.warnings)
        assert line["warning_codes"].split() == [code for code, _ in row.warnings]


def test_scans_of_several_models_are_not_silently_mixed(folder, tmp_path):
    write_result(result(model="another"), folder / "d" / "result.json")
    text = written(tmp_path, read_cohort([folder]))
    assert "Results of several models" in text
    assert '<td class="t">another</td>' in text


def test_names_cannot_become_markup(tmp_path):
    evil = "<img src=x onerror=alert(1)>"
    notice = WARNING.model_copy(update={"sentence": evil})
    found = result(scan=f"{evil}.nii.gz", model=evil, notices=(notice,), warnings=(evil,))
    write_result(found, tmp_path / evil / "result.json")
    (tmp_path / evil / "report.html").write_text("")
    text = written(tmp_path, read_cohort([tmp_path]))
    page = Page(text)
    page.assert_sound(text)
    assert "img" not in page.tags
    assert "%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E/report.html" in page.links


def test_names_that_are_no_utf_8_are_written(tmp_path):
    write_result(result(scan="caf\udce9.nii.gz"), tmp_path / "a" / "result.json")
    cohort = read_cohort([tmp_path])
    assert "caf?.nii.gz" in written(tmp_path, cohort)
    write_cohort_csv(tmp_path / "c.csv", cohort)
    assert b"caf\xe9.nii.gz" in (tmp_path / "c.csv").read_bytes()


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r"])
def test_a_name_cannot_become_a_formula_of_a_spreadsheet(tmp_path, sign):
    write_result(result(scan=f"{sign}1+1", model=f"{sign}2"), tmp_path / "a" / "result.json")
    write_cohort_csv(tmp_path / "c.csv", read_cohort([tmp_path / "a"]))
    with (tmp_path / "c.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["scan"], row["model"]) == (f"'{sign}1+1", f"'{sign}2")
    assert row["lesions"] == "1"


def test_text_that_no_file_can_hold_costs_no_table(tmp_path):
    write_result(result(model="a"), tmp_path / "a" / "result.json")
    text = (tmp_path / "a" / "result.json").read_text().replace('"model": "a"', '"model": "\\ud800"')
    (tmp_path / "a" / "result.json").write_text(text)
    cohort = read_cohort([tmp_path / "a"])
    assert cohort.rows == ()
    assert "has an invalid character" in cohort.unreadable[0].reason
    write_cohort_csv(tmp_path / "c.csv", cohort)
    write_cohort(tmp_path / "c.html", cohort)


def test_an_absurd_volume_costs_no_page(tmp_path):
    sizes = {"tumour": {"volume_ml": 10**400}}
    write_result(result(measurements=sizes), tmp_path / "a" / "result.json")
    cohort = read_cohort([tmp_path / "a"])
    assert cohort.rows == ()
    assert "a number of 401 digits" in cohort.unreadable[0].reason
    write_cohort(tmp_path / "c.html", cohort)


def test_two_thousand_scans_are_a_page_that_a_browser_opens(folder, tmp_path):
    cohort = read_cohort([folder])
    many = cohort.model_copy(update={"rows": cohort.rows[:1] * 2000})
    text = written(tmp_path, many)
    assert text.count("<tr><th><div>") == 2000
    assert len(text) < 2_000_000


def test_bars_of_a_histogram_hold_every_value():
    found = make_histogram("x", [0.0, 1.0, 1.5, 9.9, 10.0])
    assert sum(int(bar.text.rsplit(": ")[-1]) for bar in found.bars) == found.scans == 5
    assert found.median == 1.5
    assert found.bars[0].text.startswith("0 to 2: 3")
    assert max(bar.height for bar in found.bars) == pytest.approx(122)
    assert all(bar.x >= 0 and bar.width > 0 for bar in found.bars)


@pytest.mark.parametrize("values", [[5.0], [0.0, 0.0], [-3.0], [1e-9, 2e-9], [1e6, 1e6 + 1]])
def test_histograms_of_equal_or_odd_values_are_drawn(values):
    found = make_histogram("x", values)
    assert sum(int(bar.text.rsplit(": ")[-1]) for bar in found.bars) == len(values)


def test_a_histogram_keeps_the_limits_of_its_number_and_none_without_values():
    found = make_histogram("tumour_score", [0.4, 0.41], limits=(0.0, 1.0))
    assert found.ticks[0][1] == "0"
    assert found.bars[-1].text.endswith("to 1: 0")
    assert make_histogram("x", []) is None


def test_a_folder_with_an_old_result_and_a_new_refusal_counts_once(folder):
    (folder / "a" / "refusal.json").write_text(json.dumps({"code": "not_ct", "sentence": "scan.nii.gz: is no CT."}))
    for paths in ([folder], [folder, folder / "a"], [folder / "a", folder]):
        cohort = read_cohort(paths)
        assert sorted(row.folder.name for row in cohort.rows) == ["b", "c"]
        assert len(cohort.unreadable) == 1
    (entry,) = read_cohort([folder]).unreadable
    assert entry.reason.endswith("scan.nii.gz: is no CT. The result beside it is of an earlier run.")


@pytest.mark.parametrize("change", ["other", "gone"])
def test_a_result_beside_files_of_another_run_is_left_out(folder, change):
    report = folder / "a" / "report.html"
    found = result().model_copy(update={"files": {"report.html": content_digest(report)}})
    write_result(found, folder / "a" / "result.json")
    assert len(read_cohort([folder]).rows) == 3
    report.unlink() if change == "gone" else report.write_text("of another scan")
    cohort = read_cohort([folder])
    assert len(cohort.rows) == 2
    (entry,) = cohort.unreadable
    assert entry.reason.startswith("result.json in a: report.html beside it is not what was written with it")


def test_only_reports_below_the_page_are_linked_and_no_folder_above_is_named(folder, tmp_path):
    cohort = read_cohort([folder])
    (tmp_path / "pages").mkdir()
    write_cohort(tmp_path / "pages" / "c.html", cohort)
    write_cohort_csv(tmp_path / "c.csv", cohort)
    text = (tmp_path / "pages" / "c.html").read_text(encoding="utf-8")
    assert "report.html" not in text
    assert has_reports_elsewhere(cohort, tmp_path / "pages" / "c.html")
    assert not has_reports_elsewhere(cohort, tmp_path / "c.html")
    for written_down in (text, (tmp_path / "c.csv").read_text(encoding="utf-8")):
        assert "deep" not in written_down
        assert str(tmp_path) not in written_down


def test_a_thumbnail_of_the_overview_stands_in_the_line_where_there_is_one(folder, tmp_path):
    write_overview(*patient(), folder / "a" / "overview.png")
    text = written(tmp_path, read_cohort([folder]))
    Page(text).assert_sound(text)
    assert text.count('class="thumb" src="data:image/jpeg;base64,') == 1
    assert text.count('<small class="under">') == 3, "every line tells the scan's grid"
