import json

import numpy as np
import pytest
from abdomen_phantom import HounsfieldCascade, abdomen, described
from PIL import Image

from pancascade.files.digests import patient_mark
from pancascade.imaging.io import write_volume
from pancascade.inference.models.known_models import find_model
from pancascade.segmentation import segment

SEEN = "trained on a"


@pytest.fixture
def folders(tmp_path, knows_the_phantom):
    """Three noisy scans with their label maps, which the model gets right up to the noise."""
    rng = np.random.default_rng(0)
    scan, exact = abdomen()
    for name, moved in (("a", 0), ("b [x]", 1), ("c", -1)):
        noisy = scan.voxels + rng.normal(0, 45, scan.shape) * (exact > 0)
        write_volume(scan.with_voxels(noisy.astype(np.int16)), tmp_path / "scans" / f"{name}.nii.gz")
        write_volume(scan.with_voxels(np.roll(exact, moved, axis=0)), tmp_path / "labels" / f"{name}.nii.gz")
    return tmp_path / "scans", tmp_path / "labels"


@pytest.fixture
def model(tmp_path):
    """A model of our own, which has learned from a patient."""
    path = tmp_path / "models" / "phantom.json"
    path.parent.mkdir()
    content = {"name": "phantom", "summary": "knows the phantom", "steps": [{"weights": "w.safetensors"}]}
    (path.parent / "w.safetensors").write_bytes(b"weights")
    content["trained_on"] = [{"data_set": "d", "patients": [patient_mark("learned")]}]
    path.write_text(json.dumps(content))
    return path


def test_a_calibrated_model_is_written_beside_its_plot(pancascade, folders, model, tmp_path):
    code, reported, err = pancascade("calibrate", model, *folders, "--out", tmp_path / "out" / "warm.json")
    assert (code, err) == (0, "")
    found = find_model(str(tmp_path / "out" / "warm.json"))
    assert found.name == "warm"
    assert found.calibration.organ_temperature != 1
    for quality in (found.calibration.organ, found.calibration.tumour):
        assert quality.patients == 3
        assert quality.voxels > 500
        assert quality.nll_after < quality.nll_before
    assert found.weights_of(found.steps[0]) == (model.parent / "w.safetensors").resolve()
    assert "models" not in (tmp_path / "out" / "warm.json").read_text()
    assert found.trained_on == find_model(str(model)).trained_on
    with Image.open(tmp_path / "out" / "warm.png") as plot:
        assert plot.width > 600
    assert "temperature" in reported
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["warm.json", "warm.png"]


def test_masks_stay_as_they_were_and_probabilities_do_not(pancascade, folders, model, tmp_path):
    pancascade("calibrate", model, *folders, "--out", tmp_path / "warm.json")
    scan = folders[0] / "a.nii.gz"
    before, after = (segment(scan, model=str(path)) for path in (model, tmp_path / "warm.json"))
    differing = np.count_nonzero(before.mask.voxels != after.mask.voxels)
    assert differing <= 0.002 * np.count_nonzero(before.mask.voxels)
    assert abs(before.probabilities.astype(np.float32) - after.probabilities).max() > 0.02


def test_calibrating_again_finds_the_same_temperatures(pancascade, folders, model, tmp_path):
    pancascade("calibrate", model, *folders, "--out", tmp_path / "once.json")
    pancascade("calibrate", tmp_path / "once.json", *folders, "--out", tmp_path / "twice.json")
    once, twice = (find_model(str(tmp_path / f"{name}.json")) for name in ("once", "twice"))
    assert twice.calibration.organ_temperature == pytest.approx(once.calibration.organ_temperature, rel=0.01)
    assert twice.calibration.tumour_offset == pytest.approx(once.calibration.tumour_offset, abs=0.01)
    assert twice.organ_threshold == pytest.approx(once.organ_threshold, abs=0.01)


def test_a_temperature_alone_can_be_asked_for(pancascade, folders, model, tmp_path):
    offsets = []
    for options in (("--temperature-only",), ()):
        pancascade("calibrate", model, *folders, "--out", tmp_path / "warm.json", *options)
        offsets.append(find_model(str(tmp_path / "warm.json")).calibration.organ_offset)
    assert offsets[0] == 0 != offsets[1]


def test_beside_its_weights_a_model_names_them_only(pancascade, folders, model):
    pancascade("calibrate", model, *folders, "--out", model.parent / "warm.json")
    assert json.loads((model.parent / "warm.json").read_text())["steps"][0]["weights"] == "w.safetensors"


def test_patients_the_model_was_trained_on_are_refused(pancascade, folders, model, tmp_path):
    (tmp_path / "patients.csv").write_text("case,patient\na,p1\nc,learned\n")
    arguments = ("calibrate", model, *folders, "--out", tmp_path / "warm.json", "--patients", tmp_path / "patients.csv")
    code, _, err = pancascade(*arguments)
    assert code == 2
    assert err.count("\n") == 1
    assert "was trained on c, and" in err
    assert not (tmp_path / "warm.json").exists()
    assert pancascade(*arguments, "--allow-training-cases")[0] == 0


def test_what_a_checkpoint_tells_counts_as_well(pancascade, folders, model, tmp_path, monkeypatch):
    description = described()
    description.training["trained_on"] = ({"data_set": "d", "patients": [patient_mark("a")]},)
    monkeypatch.setattr("pancascade.inference.runners.loading.has_graphs", lambda _: False)
    monkeypatch.setattr(
        "pancascade.inference.runners.torch_runners.load_checkpoint", lambda path: (HounsfieldCascade(), description)
    )
    code, _, err = pancascade("calibrate", model, *folders, "--out", tmp_path / "warm.json")
    assert code == 2
    assert SEEN in err


def test_a_bad_label_map_costs_its_own_numbers_only(pancascade, folders, model, tmp_path):
    scan, truth = abdomen()
    write_volume(scan.with_voxels(np.where(truth > 0, 7, 0).astype(np.uint8)), folders[1] / "a.nii.gz")
    (folders[0] / "c.nii.gz").unlink()
    code, reported, _ = pancascade("calibrate", model, *folders, "--out", tmp_path / "warm.json")
    assert code == 1
    assert "No numbers for a: " in reported
    assert "no scan has this name" in reported
    assert "is of one patient" in reported
    assert find_model(str(tmp_path / "warm.json")).calibration.organ.patients == 1


def test_without_tumours_the_tumours_temperature_stays(pancascade, folders, model, tmp_path):
    for path in folders[1].iterdir():
        scan, truth = abdomen()
        write_volume(scan.with_voxels((truth == 1).astype(np.uint8)), path)
    code, reported, _ = pancascade("calibrate", model, *folders, "--out", tmp_path / "warm.json")
    assert code == 0
    assert "The tumour's calibration was not changed" in reported
    found = find_model(str(tmp_path / "warm.json"))
    assert found.calibration.tumour_temperature == 1
    assert found.calibration.tumour is None
    assert found.tumour_threshold == pytest.approx(0.5)


def test_empty_references_are_one_sentence(pancascade, folders, model, tmp_path):
    scan, truth = abdomen()
    for path in folders[1].iterdir():
        write_volume(scan.with_voxels(np.zeros_like(truth)), path)
    code, _, err = pancascade("calibrate", model, *folders, "--out", tmp_path / "warm.json")
    assert code == 2
    assert err.count("\n") == 1
    assert "nothing could be fitted" in err
    assert not (tmp_path / "warm.json").exists()


def test_a_model_is_a_json_file(pancascade, folders, model, tmp_path):
    code, _, err = pancascade("calibrate", model, *folders, "--out", tmp_path / "folder")
    assert code == 2
    assert "is a .json file" in err


def test_the_calibrated_model_never_replaces_the_one_that_is_read(pancascade, folders, model, tmp_path):
    (tmp_path / "own.json").write_text("{}")
    code, _, err = pancascade("calibrate", tmp_path / "own.json", *folders, "--out", tmp_path / "own.json")
    assert code == 2
    assert err.endswith("own.json: is also the model that is read. Choose another name.\n")
    assert (tmp_path / "own.json").read_text() == "{}"
