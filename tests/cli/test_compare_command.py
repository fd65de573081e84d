import csv
import json
import sys
from pathlib import Path

# The masks are drawn once, beside the tests of evaluation.
sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))

import numpy as np
import pytest
from mask_cases import AFFINE, label_map

from pancascade.errors import DataError
from pancascade.evaluation import measure_case
from pancascade.evaluation.method_names import name_methods
from pancascade.evaluation.writing import FILES
from pancascade.imaging.io import write_volume
from pancascade.imaging.volume import Volume

CASES = ("a", "b", "c", "d", "e", "f")


@pytest.fixture
def folders(tmp_path) -> Path:
    """References, a method that finds all but the tumour's edge, and one that finds something else."""
    for n, case in enumerate(CASES):
        truth = label_map(n)
        near = np.where(label_map(n + 50) > 0, truth, np.where(truth == 2, 1, truth))
        for name, labels in (("reference", truth), ("near", near), ("far", label_map(n + 100))):
            write_volume(Volume(labels, AFFINE), tmp_path / name / f"{case}.nii.gz")
    return tmp_path


@pytest.fixture
def compare(pancascade, folders):
    def run(*methods: object, out: str = "out", options: tuple[object, ...] = ()) -> tuple[int, str, str]:
        paths = [str(method) if "=" in str(method) else folders / method for method in methods]
        return pancascade("compare", folders / "reference", *paths, "--out", folders / out, "--workers", 1, *options)

    return run


@pytest.fixture
def without_report(monkeypatch) -> None:
    """Pictures take seconds, and have tests of their own."""
    monkeypatch.setattr(
        "pancascade.report.comparison.comparison_page.write_comparison",
        lambda path, *_, **__: path.write_text("report"),
    )


def flat(out: str) -> str:
    return " ".join(out.split())


def require_one_sentence(result: tuple[int, str, str]) -> str:
    code, out, err = result
    assert code == 2, out + err
    assert err.startswith("Error: ")
    assert err.count("\n") == 1, err
    assert "Traceback" not in out + err
    assert out.strip() == ""
    return err


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_two_methods_give_a_report_and_every_table(compare, folders):
    code, out, err = compare("near", "far")
    assert (code, err) == (0, "")
    names = {path.name for path in (folders / "out").iterdir()}
    assert names == {*FILES, "tables.md", "tables.tex", "report.html", "cases"} - {"failures.csv"}
    assert "pancreas, mean over scans, 95 % interval over patients" in out
    assert "tumour, mean over scans" in out
    assert "1 of 1 differences in Dice are significant (Wilcoxon signed-rank, Holm, 0.05)" in out
    assert f"Report: {folders / 'out' / 'report.html'}" in out
    ranks = [
        row for row in read(folders / "out" / "ranks.csv") if (row["target"], row["metric"]) == ("pancreas", "dice")
    ]
    assert [(row["name"], float(row["rank"])) for row in ranks] == [("near", 1), ("far", 2)]
    pairs = read(folders / "out" / "pairs.csv")[0]
    assert (pairs["first"], pairs["second"], pairs["pairs"], pairs["wins"]) == ("near", "far", "6", "6")
    assert float(pairs["wilcoxon_p"]) == pytest.approx(2 / 2**6)


def test_a_second_run_measures_nothing_and_says_the_same(compare, folders, without_report, monkeypatch):
    done: list[str] = []

    def counting(*volumes, **options):
        done.append(options["case"])
        return measure_case(*volumes, **options)

    monkeypatch.setattr("pancascade.evaluation.work.measure_case", counting)
    first = compare("near", "far")
    assert len(done) == 2 * len(CASES)
    assert compare("near", "far") == first
    assert len(done) == 2 * len(CASES)
    write_volume(Volume(label_map(77), AFFINE), folders / "far" / "c.nii.gz")
    assert compare("near", "far")[0] == 0
    assert len(done) == 2 * len(CASES) + 1


def test_records_of_methods_are_kept_apart_under_their_names(compare, folders, without_report):
    code, out, _ = compare("near", f"best={folders / 'near'}", "far")
    assert code == 0
    assert {path.name for path in (folders / "out" / "cases").iterdir()} == {"near", "best", "far"}
    assert "1 of 3" not in out
    results = json.loads((folders / "out" / "results.json").read_text())
    assert list(results["methods"]) == ["near", "best", "far"]


def test_a_bad_case_of_one_method_costs_only_that(compare, folders, without_report):
    (folders / "far" / "b.nii.gz").write_bytes(b"")
    code, out, err = compare("near", "far")
    assert (code, err) == (1, "")
    assert "No numbers for b of far: b.nii.gz: the file is empty" in out
    counts = {
        name: len(method["cases"])
        for name, method in json.loads((folders / "out" / "results.json").read_text())["methods"].items()
    }
    assert counts == {"near": 6, "far": 5}
    assert read(folders / "out" / "pairs.csv")[0]["pairs"] == "5"


def test_the_headline_and_metrics_are_the_protocols(compare, folders, without_report):
    code, out, _ = compare("near", "far", options=("--protocol", "qiu2024", "--labels", "organ=1+2"))
    assert code == 0
    assert "organ, mean over axial slices that show the target" in flat(out)
    assert {row["metric"] for row in read(folders / "out" / "ranks.csv")} == {"dice", "sensitivity", "specificity"}


def test_ranks_are_named_by_the_metric_they_are_of(compare, folders, without_report):
    """The headline's mean over slices has no distances, so the first column is another one."""
    (folders / "p.yaml").write_text("headline: all_slices\nmetrics: [volume_error, hd95_mm, dice]\n")
    code, out, _ = compare("near", "far", options=("--protocol", folders / "p.yaml"))
    assert code == 0
    assert "differences in HD95 [mm] are significant" in flat(out)


UNUSABLE = {
    "one method": (["{near}"], "compare needs the folders of at least two methods"),
    "the same name twice": (["x={near}", "x={far}"], "Error: x=far: give each method a name of its own"),
    "the same folder twice": (["{near}", "{near}"], "Error: near: give each method a name of its own"),
    "no name": (["={near}", "{far}"], "Error: =near: give each method a name of its own"),
    "a name that is a path": (["../x={near}", "{far}"], "Error: near: give each method a name of its own"),
    "no such folder": (["{near}", "{far}x"], "Error: farx: there is no such file or folder"),
    "a file": (["{near}", "{far}/a.nii.gz"], "one is a file, the other a folder"),
    "an unknown protocol": (["{near}", "{far}", "--protocol", "x"], "x: no such protocol; known are"),
    "no labels": (["{near}", "{far}", "--labels", "1"], "labels '1': write them like"),
    "no such scans": (["{near}", "{far}", "--scans", "{t}/no"], "Error: no: there is no such file or folder"),
    "no such patients": (["{near}", "{far}", "--patients", "{t}/no"], "no: there is no such file"),
}


@pytest.mark.parametrize(("arguments", "says"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_what_cannot_be_used_is_one_sentence(pancascade, folders, arguments, says):
    places = {"near": folders / "near", "far": folders / "far", "t": folders}
    words = [text.format(**places) for text in arguments]
    err = require_one_sentence(pancascade("compare", folders / "reference", *words, "--out", folders / "out"))
    assert says in err


def test_a_method_without_a_single_good_case_is_named(compare, folders):
    for case in CASES:
        (folders / "far" / f"{case}.nii.gz").write_bytes(b"no image")
    err = require_one_sentence(compare("near", "far"))
    assert "far: no case could be compared. The first reason: a.nii.gz: " in err
    assert not (folders / "out" / "results.json").exists()


def test_signed_errors_alone_cannot_be_compared(compare, folders):
    (folders / "p.yaml").write_text("metrics: [volume_error]\n")
    err = require_one_sentence(compare("near", "far", options=("--protocol", folders / "p.yaml")))
    assert "signed errors have no best" in err


def test_an_out_that_is_a_file_is_refused(compare, folders):
    (folders / "mine").write_text("mine")
    err = require_one_sentence(compare("near", "far", out="mine"))
    assert "Error: mine: cannot be written" in err


@pytest.fixture
def runs(tmp_path, monkeypatch) -> Path:
    for name in ("one/masks", "two/masks", "net", "x=y"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_methods_are_named_by_their_folder_and_by_its_parent_where_names_repeat(runs):
    assert name_methods(["net", "one/masks"]) == {"net": Path("net"), "masks": Path("one/masks")}
    assert name_methods(["one/masks", "two/masks/"]) == {"one-masks": Path("one/masks"), "two-masks": Path("two/masks")}
    assert list(name_methods([".", "net"])) == [runs.name, "net"]


def test_methods_are_named_as_asked(runs):
    assert name_methods(["first=one/masks", "net"]) == {"first": Path("one/masks"), "net": Path("net")}
    assert name_methods(["a b & c=one/masks", "b=two/masks=x"]) == {
        "a b & c": Path("one/masks"),
        "b": Path("two/masks=x"),
    }


def test_a_folder_whose_name_has_an_equals_sign_is_a_folder(runs):
    assert name_methods(["x=y", "net"]) == {"x=y": Path("x=y"), "net": Path("net")}


def test_a_given_name_may_not_hide_a_folders_name(runs):
    with pytest.raises(DataError, match="give each method a name of its own"):
        name_methods(["net", "net=one/masks"])
