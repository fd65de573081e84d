"""``pancascade predict``, and what ``evaluate``, ``compare`` and ``attribute`` make of it."""

import json

import numpy as np
import pytest
from abdomen_phantom import HounsfieldCascade, abdomen, described, save_pictures, turned

from pancascade.imaging.io import read_volume, write_volume
from pancascade.imaging.preprocessing import Window

PICTURES = Window(lower_hu=-155, upper_hu=355)
READING = {
    "window": {"lower_hu": -155, "upper_hu": 355},
    "flip_rows": True,
    "mask_values": {"1": "pancreas", "2": "tumour"},
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A folder of a training run on the pictures, whose best weights know the phantom."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "best.safetensors").write_bytes(b"weights")
    monkeypatch.setattr("pancascade.inference.runners.loading.has_graphs", lambda _: False)
    monkeypatch.setattr(
        "pancascade.inference.runners.torch_runners.load_checkpoint", lambda _: (HounsfieldCascade(), described())
    )
    trained = {"recipe": {"data": [{"reader": "slice_folder", "folder": "pictures", "keep": "all", **READING}]}}
    monkeypatch.setattr("pancascade.methods.checkpoint.read_training", lambda _: trained)
    return tmp_path / "run"


@pytest.fixture
def pictures(tmp_path):
    """Slices of four patients as pictures, the back at the top, and a split of them; (data set, split)."""
    folder = tmp_path / "pictures"
    save_pictures(folder, range(8, 12), window=PICTURES, patient="p{}".format)
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": ["p0"], "validation": ["p1"], "test": ["p2", "p3"]}))
    return folder, split


@pytest.fixture
def scans(tmp_path):
    """One whole scan as a volume list."""
    scan, truth = abdomen()
    write_volume(turned(scan, "SRA"), tmp_path / "whole" / "a.nii.gz")
    write_volume(turned(scan.with_voxels(truth), "SRA"), tmp_path / "whole" / "a_label.nii.gz")
    (tmp_path / "whole" / "list.csv").write_text("image,label,patient\na.nii.gz,a_label.nii.gz,a\n")
    return tmp_path / "whole" / "list.csv"


def test_pictures_are_predicted_and_evaluated_as_the_weights_were_trained(pancascade, run, pictures, tmp_path):
    folder, split = pictures
    out = tmp_path / "out"
    code, reported, err = pancascade("predict", run, "--source", folder, "--split", split, "--out", out)
    assert (code, err) == (0, "")
    assert "2 cases predicted by best.safetensors" in reported
    assert sorted(path.name for path in out.glob("*.png")) == ["s2.png", "s3.png"]
    source = json.loads((out / "predictions.json").read_text())["source"]
    assert (source["data_set"], source["split"], source["part"]) == ("pictures", "split.json", "test")
    assert source["reading"]["flip_rows"]
    code, reported, err = pancascade("evaluate", out, folder, "--protocol", "qiu2024", "--workers", 1)
    assert (code, err) == (0, "")
    assert "2 scans of 2 patients" in reported


def test_two_sets_of_predictions_are_compared_on_the_data_set(pancascade, run, pictures, tmp_path):
    folder, split = pictures
    for name in ("one", "two"):
        assert pancascade("predict", run, "--source", folder, "--split", split, "--out", tmp_path / name)[0] == 0
    both = (tmp_path / "one", tmp_path / "two")
    code, reported, err = pancascade("compare", folder, *both, "--workers", 1, "--out", tmp_path / "compared")
    assert (code, err) == (0, "")
    assert "0 of 1 differences in Dice are significant" in reported
    assert "p3" in (tmp_path / "compared" / "slices.csv").read_text()
    assert (tmp_path / "compared" / "report.html").is_file()


def test_a_scan_is_predicted_on_its_own_grid_and_evaluated(pancascade, run, scans, tmp_path):
    out = tmp_path / "out"
    code, _, err = pancascade("predict", run, "--source", scans, "--out", out, "--probabilities")
    assert (code, err) == (0, "")
    assert read_volume(out / "a.nii.gz").on_same_grid_as(read_volume(scans.parent / "a.nii.gz"))
    assert (out / "probabilities" / "tumour" / "a.nii.gz").is_file()
    code, reported, err = pancascade("evaluate", out, scans, "--workers", 1)
    assert (code, err) == (0, "")
    assert "1 scan of 1 patient" in reported


def test_a_folder_of_label_maps_is_still_matched_by_name(pancascade, run, scans, tmp_path):
    out = tmp_path / "out"
    assert pancascade("predict", run, "--source", scans, "--out", out)[0] == 0
    write_volume(read_volume(scans.parent / "a_label.nii.gz"), tmp_path / "labels" / "a.nii.gz")
    code, reported, err = pancascade("evaluate", out, tmp_path / "labels", "--workers", 1)
    assert (code, err) == (0, "")
    assert "1 scan of 1 patient" in reported


def test_a_run_that_was_done_is_gone_on_with_only_where_that_is_asked(pancascade, run, pictures, tmp_path):
    folder, split = pictures
    arguments = ("predict", run, "--source", folder, "--split", split, "--out", tmp_path / "out")
    assert pancascade(*arguments)[0] == 0
    code, _, err = pancascade(*arguments)
    assert (code, err) == (
        2,
        "Error: out: holds predictions already. Continue with --resume, or choose another --out folder.\n",
    )
    assert pancascade(*arguments, "--resume")[0] == 0
    code, _, err = pancascade(*arguments, "--resume", "--part", "validation")
    assert code == 2
    assert "other cases" in err


def test_one_bad_case_ends_with_code_1_and_its_name(pancascade, run, pictures, tmp_path):
    folder, split = pictures
    (folder / "images" / "s3.png").write_bytes(b"no picture")
    code, reported, err = pancascade("predict", run, "--source", folder, "--split", split, "--out", tmp_path / "out")
    assert (code, err) == (1, "")
    assert "No mask of s3: s3.png: not a readable picture" in reported
    code, reported, _ = pancascade("evaluate", tmp_path / "out", folder, "--workers", 1)
    assert code == 1
    assert "No numbers for s3 of out: was not predicted" in reported


def test_where_nothing_tells_the_window_of_pictures_they_are_not_guessed(
    pancascade, run, pictures, tmp_path, monkeypatch
):
    monkeypatch.setattr("pancascade.methods.checkpoint.read_training", lambda _: {})
    folder, split = pictures
    code, _, err = pancascade("predict", run, "--source", folder, "--split", split, "--out", tmp_path / "out")
    assert code == 2
    assert "--picture-window" in err
    assert len(err.strip()) <= 200
    given = ("--picture-window", -155, 355, "--flip-rows")
    assert pancascade("predict", run, "--source", folder, "--out", tmp_path / "out", *given)[0] == 0


def test_nor_is_the_window_guessed_where_there_are_no_weights_yet(pancascade, pictures, tmp_path):
    code, _, err = pancascade("reproduce", "qiu2024", 3, "--data", pictures[0], "--out", tmp_path / "out")
    assert code == 2
    assert "the Hounsfield units of its pictures are unknown. Give --picture-window" in err
    assert len(err.strip()) <= 200


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--split", "none.json"), "none.json"),
        (("--part", "train"), "--split"),
        (("--split", "{split}", "--part", "half"), "--part half"),
        (("--layout", "scrolls"), "--layout scrolls"),
        (("--device", "tpu"), "tpu"),
    ],
)
def test_bad_options_are_one_sentence_and_leave_nothing(pancascade, run, pictures, tmp_path, arguments, word):
    folder, split = pictures
    given = [str(one).format(split=split) for one in arguments]
    code, _, err = pancascade("predict", run, "--source", folder, "--out", tmp_path / "out", *given)
    assert code == 2
    assert err.count("\n") == 1
    assert word in err
    assert len(err.strip()) <= 207
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 9}', ""])
def test_damaged_predictions_are_one_sentence(pancascade, run, pictures, tmp_path, content):
    folder, split = pictures
    arguments = ("predict", run, "--source", folder, "--split", split, "--out", tmp_path / "out")
    assert pancascade(*arguments)[0] == 0
    (tmp_path / "out" / "predictions.json").write_text(content)
    for command in (("evaluate", tmp_path / "out", folder), (*arguments, "--resume")):
        code, _, err = pancascade(*command)
        assert code == 2
        assert err.count("\n") == 1
        assert "predictions.json" in err


def test_a_data_set_is_attributed_with_a_table_of_stage_1(pancascade, run, pictures, tmp_path):
    folder, split = pictures
    chosen = ("--split", split, "--part", "validation")
    code, reported, err = pancascade("attribute", "--source", folder, *chosen, "--model", run, "--out", tmp_path / "a")
    assert (code, err) == (0, "")
    assert "box IoU" in reported
    result = json.loads((tmp_path / "a" / "attribution.json").read_text())
    assert [row["case"] for row in result["targets"]["pancreas"]["cases"]] == ["s1"]
    assert result["localization"]["statistics"]["box recall"]["mean"] == 1
    assert result["source"]["part"] == "validation"


@pytest.mark.parametrize(
    "arguments",
    [(), ("{folder}",), ("{folder}", "{folder}", "--source", "{folder}"), ("{folder}", "{folder}", "--fold", "1")],
)
def test_attribute_wants_scans_or_a_data_set(pancascade, run, pictures, arguments):
    code, _, err = pancascade("attribute", *(one.format(folder=pictures[0]) for one in arguments), "--model", run)
    assert code == 2
    assert "--source" in err


def test_what_segment_adds_is_switched_off_by_name_and_written_down(pancascade, knows_the_phantom, scan, tmp_path):
    out = tmp_path / "out"
    options = ("--no-smoothing", "--no-component-rules", "--save-probabilities")
    assert pancascade("segment", scan, "--out", out, *options)[0] == 0
    assert json.loads((out / "result.json").read_text())["switched_off"] == ["smoothing", "component_rules"]
    mask = read_volume(out / "segmentation.nii.gz").voxels
    hu = read_volume(scan).voxels
    assert mask[hu == 150].mean() > 0.8
    assert pancascade("threshold", out, "--organ", 0.4, "--tumour", 0.4, "--out", tmp_path / "again")[0] == 0
    again = read_volume(tmp_path / "again" / "segmentation.nii.gz").voxels
    assert np.count_nonzero(again) >= np.count_nonzero(mask)


@pytest.mark.parametrize("option", [("--picture-window", -155, 355), ("--flip-rows",)], ids=lambda option: option[0])
@pytest.mark.parametrize("verb", ["predict", "attribute", "reproduce", "check", "describe", "prepare", "split"])
def test_an_option_about_pictures_is_refused_where_there_are_none(pancascade, run, scans, tmp_path, verb, option):
    out = tmp_path / "out"
    arguments = {
        "predict": ("predict", run, "--source", scans),
        "attribute": ("attribute", "--model", run, "--source", scans),
        "reproduce": ("reproduce", "zhao2019", 1, "--data", scans),
        "split": ("data", "split", scans, "--parts", 80, 10, 10),
    }.get(verb, ("data", verb, scans))
    code, _, err = pancascade(*arguments, "--out", out, *option)
    assert (code, err.count("\n")) == (2, 1)
    assert f"{option[0]} is for pictures of a slice folder, but list.csv is none (volume_list)" in err
    assert not out.exists()
