import json
import sys
from pathlib import Path

# The masks are drawn once, beside the tests of evaluation.
sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))

import pytest
from mask_cases import AFFINE, label_map

from pancascade.files.digests import patient_mark
from pancascade.imaging.io import write_volume
from pancascade.imaging.volume import Volume

SPLIT = {"train": ["a"], "validation": ["b"], "test": ["c"]}


@pytest.fixture
def folders(tmp_path):
    for folder, offset in (("reference", 0), ("one", 20), ("two", 40)):
        for n, name in enumerate("abc"):
            write_volume(Volume(label_map(n + offset), AFFINE), tmp_path / folder / f"{name}.nii.gz")
    (tmp_path / "split.json").write_text(json.dumps(SPLIT))
    (tmp_path / "folds.json").write_text(json.dumps({"folds": [["a", "b"], ["c"]]}))
    return tmp_path


@pytest.fixture
def evaluate(pancascade, folders):
    return lambda *options: pancascade("evaluate", folders / "one", folders / "reference", "--workers", 1, *options)


@pytest.fixture
def compare(pancascade, folders, monkeypatch):
    """Pictures take seconds, and have tests of their own."""
    monkeypatch.setattr(
        "pancascade.report.comparison.comparison_page.write_comparison",
        lambda path, *_, **__: path.write_text("report"),
    )
    methods = (folders / "one", folders / "two")
    return lambda *options: pancascade("compare", folders / "reference", *methods, "--workers", 1, *options)


def test_evaluate_measures_one_part_and_lists_the_others(evaluate, folders, monkeypatch):
    monkeypatch.setattr(
        "pancascade.report.comparison.comparison_page.write_comparison",
        lambda path, *_, **__: path.write_text("report"),
    )
    code, out, err = evaluate("--split", folders / "split.json", "--out", folders / "out")
    assert (code, err) == (0, "")
    assert "1 scan of 1 patient" in out
    assert "Left out by the split, 1 of train: a" in out
    assert "Left out by the split, 1 of validation: b" in out
    results = json.loads((folders / "out" / "results.json").read_text())["methods"]["one"]
    assert results["left_out"] == {"a": "train", "b": "validation"}
    assert [case["case"] for case in results["cases"]] == ["c"]


def test_another_part_is_measured_only_when_it_is_asked_for(evaluate, folders):
    code, out, _ = evaluate("--split", folders / "split.json", "--part", "train")
    assert code == 0
    assert "Left out by the split, 1 of test: c" in out


def test_a_fold_is_chosen_by_its_number(evaluate, folders):
    code, out, _ = evaluate("--split", folders / "folds.json", "--fold", 0)
    assert code == 0
    assert "2 scans of 2 patients" in out
    assert "Left out by the split, 1 of train: c" in out


def test_compare_takes_the_same_options(compare, folders):
    code, out, err = compare("--split", folders / "folds.json", "--fold", 0, "--out", folders / "out")
    assert (code, err) == (0, "")
    assert "Left out by the split, 1 of train: c" in out
    results = json.loads((folders / "out" / "results.json").read_text())["methods"]
    assert all([case["case"] for case in method["cases"]] == ["a", "b"] for method in results.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--split", "split.json", "--part", "tests"), "--part tests: known are train, validation, test"),
        (("--split", "folds.json"), "holds 2 folds, and none was named"),
        (("--split", "split.json", "--fold", 1), "Leave fold 1 out"),
        (("--split", "none.json"), "none.json: not a split file"),
        (("--part", "train"), "--fold and --part select from a split"),
        (("--fold", 0), "--fold and --part select from a split"),
    ],
)
def test_options_that_do_not_fit_are_one_sentence(evaluate, folders, monkeypatch, options, message):
    monkeypatch.chdir(folders)
    code, _, err = evaluate(*options)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_a_case_that_the_split_does_not_know_is_one_sentence(evaluate, folders):
    (folders / "split.json").write_text(json.dumps(SPLIT | {"test": ["x"]}))
    code, _, err = evaluate("--split", folders / "split.json")
    assert code == 2
    assert "split.json: c in none of its parts" in err


def test_masks_of_a_model_s_training_cases_are_refused_unless_they_are_asked_for(pancascade, folders):
    for name in "abc":
        folder = folders / "model" / name
        write_volume(Volume(label_map(7), AFFINE), folder / "segmentation.nii.gz")
        record = {"data_set": "set", "split": None, "patients": [patient_mark("a")]}
        (folder / "result.json").write_text(json.dumps({"model": "m", "trained_on": [record]}))
    run = ("evaluate", folders / "model", folders / "reference", "--workers", 1)
    code, _, err = pancascade(*run)
    assert code == 2
    assert "model: the model that made these masks was trained on a;" in err
    assert pancascade(*run, "--allow-training-cases")[0] == 0
    assert pancascade(*run, "--split", folders / "split.json")[0] == 0


def test_segment_writes_down_whom_its_model_was_trained_on(pancascade, scan, monkeypatch, tmp_path):
    from abdomen_phantom import HounsfieldCascade, described

    records = [{"data_set": "set", "split": "x", "patients": [patient_mark("a")]}]
    description = described()
    description.training["trained_on"] = records
    monkeypatch.setattr("pancascade.inference.runners.loading.has_graphs", lambda _: False)
    monkeypatch.setattr(
        "pancascade.inference.runners.torch_runners.load_checkpoint",
        lambda _: (HounsfieldCascade(organ_hu=95), description),
    )
    code, _, _ = pancascade("segment", scan, "--out", tmp_path / "out")
    assert code == 0
    found = json.loads((tmp_path / "out" / "result.json").read_text())["trained_on"]
    # The shipped model's own description tells of the weights that it came with.
    assert found[-1:] == records
    assert [record["data_set"] for record in found[:-1]] == ["nih_slices"]
