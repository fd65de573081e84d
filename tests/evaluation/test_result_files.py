import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from mask_cases import FAST, evaluation, record, simple, with_detections

from pancascade.errors import OutputError
from pancascade.evaluation import (
    Failure,
    case_values,
    compare,
    metrics_of,
    summarise,
    summarise_detection,
    write_results,
)
from pancascade.evaluation.writing import FILES, plain
from pancascade.metrics import DetectedLesion, ScanDetections

NAMES = ("good", 'odd, "name"\nü')


def detections(patient: str, *, found: bool) -> ScanDetections:
    lesion = DetectedLesion(12.5, 1.25, 0.75 if found else None, 0.5 if found else 0.0)
    return ScanDetections(patient, (lesion,), () if found else (0.25,), 0.75)


def two_methods():
    good = [simple("x", 45, hd95_mm=1.5), simple("y", 40), record("z", [(0, 0, 0, 100), (0, 4, 0, 96)])]
    good = [with_detections(case, detections(case.case, found=case.case == "x")) for case in good]
    poor = [simple("x", 30), simple("y", 0)]
    failures = [Failure("z", "z.nii.gz: broken; mend it.")]
    return [evaluation(NAMES[0], good), evaluation(NAMES[1], poor, failures=failures)]


def write(out: Path, evaluations=None, *, single: bool = False):
    evaluations = (evaluations or two_methods())[: 1 if single else None]
    summaries = [summarise(each.cases, each.protocol) for each in evaluations]
    comparison = None if single else compare(evaluations, targets=["pancreas"])
    write_results(
        evaluations,
        out,
        summaries=summaries,
        detections=[summarise_detection(each.cases, each.protocol) for each in evaluations],
        comparison=comparison,
    )
    return evaluations, summaries, comparison


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def number(text: str) -> float:
    return float(text) if text else math.nan


def test_every_file_is_there_and_every_table_names_the_protocol(tmp_path):
    write(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(FILES)
    for path in (tmp_path / "out").glob("*.csv"):
        rows = read(path)
        assert rows
        assert {row["protocol"] for row in rows} == {FAST.sentence()}
        assert all(None not in row and None not in row.values() for row in rows), path.name
        assert not any(value in ("nan", "inf", "None") for row in rows for value in row.values())


def test_cases_come_back_as_they_were(tmp_path):
    evaluations, *_ = write(tmp_path)
    rows = read(tmp_path / "cases.csv")
    cases = [(each, case) for each in evaluations for case in each.cases]
    assert [(row["method"], row["case"]) for row in rows] == [(each.method, case.case) for each, case in cases]
    for row, (each, case) in zip(rows, cases, strict=True):
        values = case_values(case, "pancreas", each.protocol)
        assert {key: number(row[key]) for key in metrics_of(FAST)} == pytest.approx(values, rel=0, abs=0, nan_ok=True)
        assert int(row["false_negatives"]) == case.targets["pancreas"].total.false_negatives
        assert number(row["reference_ml"]) == pytest.approx(case.targets["pancreas"].total.reference_size * 0.002)
        assert row["reference"] == Path(case.reference).name


def test_slices_with_either_mask_are_numbered_from_the_feet(tmp_path):
    write(tmp_path)
    (row,) = [row for row in read(tmp_path / "slices.csv") if row["case"] == "z"]
    assert (row["slice_from_feet"], row["false_positives"], row["dice"], row["sensitivity"]) == ("1", "4", "0.0", "")
    assert {row["slices"] for row in read(tmp_path / "cases.csv") if row["case"] == "z"} == {"2"}


def test_lesions_and_false_positives_have_a_line_each(tmp_path):
    write(tmp_path)
    rows = read(tmp_path / "lesions.csv")
    assert [(row["case"], row["kind"], row["confidence"]) for row in rows] == [
        ("x", "lesion", "0.75"),
        ("y", "lesion", ""),
        ("y", "false positive", "0.25"),
        ("z", "lesion", ""),
        ("z", "false positive", "0.25"),
    ]


def test_the_summary_comes_back_as_it_was(tmp_path):
    evaluations, summaries, _ = write(tmp_path)
    rows = read(tmp_path / "summary.csv")
    assert len(rows) == sum(
        len(metrics) for each in summaries for target in each.values() for metrics in target.values()
    )
    for row in rows:
        summary = summaries[[each.method for each in evaluations].index(row["method"])]
        statistic = summary[row["target"]][row["aggregation"]][row["metric"]]
        assert [number(row[key]) for key in ("mean", "low", "high")] == pytest.approx(
            [statistic.mean, statistic.low, statistic.high], rel=0, abs=0, nan_ok=True
        )
        assert int(row["count"]) == statistic.count


def test_pairs_and_ranks_come_back_as_they_were(tmp_path):
    *_, comparison = write(tmp_path)
    pairs, ranks = read(tmp_path / "pairs.csv"), read(tmp_path / "ranks.csv")
    assert [row["metric"] for row in pairs] == list(FAST.metrics)
    first = comparison.metrics[0].pairs[0]
    assert (pairs[0]["first"], pairs[0]["second"]) == NAMES
    assert [float(pairs[0][key]) for key in ("mean_difference", "low", "high")] == list(first.mean_difference)
    assert float(pairs[0]["wilcoxon_p"]) == first.wilcoxon_p
    assert [(row["name"], float(row["rank"])) for row in ranks[:2]] == [
        (rank.name, rank.rank) for rank in comparison.metrics[0].ranks
    ]


def test_failures_are_told_with_their_method(tmp_path):
    write(tmp_path)
    (row,) = read(tmp_path / "failures.csv")
    assert (row["method"], row["case"], row["message"]) == (NAMES[1], "z", "z.nii.gz: broken; mend it.")


def require_strict(text: str):
    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_the_json_is_strict_and_says_everything(tmp_path):
    _, summaries, comparison = write(tmp_path)
    found = require_strict((tmp_path / "results.json").read_text("utf-8"))
    assert found["protocol_in_words"] == FAST.sentence()
    assert type(FAST).model_validate(found["protocol"]) == FAST
    assert list(found["methods"]) == list(NAMES)
    good, odd = found["methods"].values()
    assert good["summary"]["pancreas"]["volumes"]["dice"]["mean"] == summaries[0]["pancreas"]["volumes"]["dice"].mean
    assert good["counts"]["pancreas"]["false_alarms"] == 1
    assert [case["case"] for case in good["cases"]] == ["x", "y", "z"]
    assert good["cases"][2]["pancreas"]["hd95_mm"] == 20.0
    assert good["cases"][2]["pancreas"]["volume_error"] is None
    assert good["detection"]["lesions"] == 3
    assert odd["detection"] is None
    assert odd["failures"] == [{"case": "z", "message": "z.nii.gz: broken; mend it."}]
    assert len(found["pairs"]) == len(comparison.metrics)
    assert len(found["ranks"]) == 2 * len(comparison.metrics)


def test_a_single_method_has_no_pairs_and_old_ones_go(tmp_path):
    write(tmp_path)
    write(tmp_path, single=True)
    found = {path.name for path in tmp_path.iterdir()}
    assert found == set(FILES) - {"pairs.csv", "ranks.csv", "failures.csv"}
    assert require_strict((tmp_path / "results.json").read_text())["pairs"] == []


def test_results_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    write(tmp_path, single=True)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pancascade.evaluation.writing.json.dumps", full)
    with pytest.raises(OutputError, match="the disk is full"):
        write(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_numbers_that_json_does_not_know_become_null():
    value = {"a": [math.nan, 1.5, (math.nan, "x")], "b": {"c": float(np.float64("nan"))}, "d": None, "e": True}
    assert plain(value) == {"a": [None, 1.5, [None, "x"]], "b": {"c": None}, "d": None, "e": True}
