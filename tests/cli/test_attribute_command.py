import json

import numpy as np
import pytest
from abdomen_phantom import HounsfieldCascade, abdomen, described

from pancascade.imaging.io import write_volume


@pytest.fixture
def folders(tmp_path, knows_the_phantom):
    """Two scans with their label maps, of which the model knows the first; (scans, references)."""
    scan, exact = abdomen()
    for name, truth in (("a", exact), ("b [x]", np.roll(exact, 1, axis=0))):
        write_volume(scan, tmp_path / "scans" / f"{name}.nii.gz")
        write_volume(scan.with_voxels(truth), tmp_path / "labels" / f"{name}.nii.gz")
    return tmp_path / "scans", tmp_path / "labels"


def test_both_stages_of_every_scan_are_judged(pancascade, folders, tmp_path):
    code, reported, err = pancascade("attribute", *folders, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    result = json.loads((tmp_path / "out" / "attribution.json").read_text())
    assert set(result["targets"]) == {"pancreas", "tumour"}
    assert result["failures"] == []
    for target, found in result["targets"].items():
        assert [row["case"] for row in found["cases"]] == ["a", "b [x]"]
        assert target in reported
        exact, moved = found["cases"]
        assert exact["box_recall"] == 1
        assert exact["lost_voxels"] == 0
        assert exact["dice"] > 0.95
        assert moved["dice"] < exact["dice"]
        first, second = (found["summary"][f"{stage}_stage_share"]["mean"] for stage in ("first", "second"))
        assert first + second == pytest.approx(1)
    assert "Dice with stage 2 in the true box" in reported


def test_without_out_nothing_is_written(pancascade, folders, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    code, reported, _ = pancascade("attribute", *folders)
    assert code == 0
    assert "box recall" in reported
    assert sorted(tmp_path.rglob("*")) == before


def test_a_bad_label_map_costs_its_own_numbers_only(pancascade, folders, tmp_path):
    scan, truth = abdomen()
    write_volume(scan.with_voxels(np.where(truth > 0, 7, 0).astype(np.uint8)), folders[1] / "a.nii.gz")
    code, reported, err = pancascade("attribute", *folders, "--out", tmp_path / "out")
    assert (code, err) == (1, "")
    assert "No numbers for a: " in reported
    assert "values other than 0, 1 (pancreas) and 2 (tumour)" in reported
    result = json.loads((tmp_path / "out" / "attribution.json").read_text())
    assert [failure["case"] for failure in result["failures"]] == ["a"]
    assert [row["case"] for row in result["targets"]["pancreas"]["cases"]] == ["b [x]"]


def test_nothing_to_attribute_is_one_sentence(pancascade, folders, tmp_path):
    scan, truth = abdomen()
    for path in folders[1].iterdir():
        write_volume(scan.with_voxels(np.zeros_like(truth)), path)
    code, _, err = pancascade("attribute", *folders, "--out", tmp_path / "out")
    assert code == 2
    assert err.count("\n") == 1
    assert "nothing to attribute" in err
    assert not (tmp_path / "out" / "attribution.json").exists()


@pytest.mark.parametrize(
    "option",
    [
        ("--split", "split.json"),
        ("--fold", 0),
        ("--part", "train"),
        ("--layout", "msd"),
        ("--picture-window", -100, 240),
        ("--flip-rows",),
    ],
    ids=lambda option: option[0],
)
def test_an_option_about_data_sets_needs_one(pancascade, tmp_path, option):
    code, _, err = pancascade("attribute", tmp_path / "scans", tmp_path / "labels", *option)
    assert code == 2
    assert err.count("\n") == 1
    assert f"{option[0]} is an option for data sets" in err
    assert "--source" in err


class Graded(HounsfieldCascade):
    """Probabilities that rise slowly, so that calibration and thresholds matter."""

    def above(self, images, hu):
        return super().above(images, hu) ** 0.2


def test_with_the_models_own_mask_as_reference_dice_is_one(pancascade, scan, tmp_path, monkeypatch):
    monkeypatch.setattr("pancascade.inference.runners.loading.has_graphs", lambda _: False)
    monkeypatch.setattr("pancascade.inference.runners.torch_runners.load_checkpoint", lambda _: (Graded(), described()))
    calibration = {"organ_temperature": 2.0, "organ_offset": -1.0, "tumour_temperature": 0.5, "tumour_offset": -1.5}
    description = {"name": "own", "summary": "own", "steps": [{"weights": "w"}], "calibration": calibration}
    model = tmp_path / "model.json"
    model.write_text(json.dumps(description | {"organ_threshold": 0.6, "tumour_threshold": 0.15}))
    out = tmp_path / "out"
    assert pancascade("segment", scan, "--model", model, "--out", out)[0] == 0
    code, _, err = pancascade("attribute", scan, out / "segmentation.nii.gz", "--model", model, "--out", out)
    assert (code, err) == (0, "")
    targets = json.loads((out / "attribution.json").read_text())["targets"]
    assert [targets[name]["summary"]["dice"]["mean"] for name in ("pancreas", "tumour")] == [1.0, 1.0]
