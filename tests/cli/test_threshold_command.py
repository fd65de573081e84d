"""``pancascade threshold``: a result decided anew."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from abdomen_phantom import HounsfieldCascade, abdomen, described
from dicom_writing import IDENTIFIERS, ct_slices, save_all

from pancascade.io import read_volume, write_volume
from pancascade.volume import reorient


class Graded(HounsfieldCascade):
    """Probabilities that rise slowly, so that thresholds matter."""

    def above(self, images, hu):
        return super().above(images, hu) ** 0.2


@pytest.fixture(autouse=True)
def graded(monkeypatch):
    monkeypatch.setattr("pancascade.inference.loading.load_checkpoint", lambda _: (Graded(), described()))


@pytest.fixture
def result(pancascade, scan, tmp_path) -> Path:
    assert pancascade("segment", scan, "--out", tmp_path / "out", "--save-probabilities")[0] == 0
    return tmp_path / "out"


def tumour_voxels(folder: Path) -> int:
    return int(np.count_nonzero(np.asarray(nib.load(folder / "segmentation.nii.gz").dataobj) == 2))


def told(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refused(answer: tuple[int, str, str]) -> str:
    code, _, err = answer
    assert code == 2, err
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    return err


def test_a_higher_threshold_marks_less_in_every_file(pancascade, result):
    before, organ = tumour_voxels(result), told(result)["thresholds"]["organ"]
    code, out, err = pancascade("threshold", result, "--tumour", "0.97")
    assert (code, err) == (0, "")
    assert 0 < tumour_voxels(result) < before
    now = told(result)
    assert now["thresholds"] == {"organ": organ, "tumour": 0.97}
    assert now["measurements"]["tumour"]["voxels"] == tumour_voxels(result)
    assert f"{now['measurements']['tumour']['volume_ml']:.1f} mL" in out
    assert (result / "probability_tumour.nii.gz").exists()


def test_there_and_back_again_gives_the_same_mask(pancascade, result):
    before, old = read_volume(result / "segmentation.nii.gz").voxels, told(result)["thresholds"]
    assert pancascade("threshold", result, "--tumour", "0.97", "--organ", "0.2")[0] == 0
    assert not np.array_equal(read_volume(result / "segmentation.nii.gz").voxels, before)
    assert pancascade("threshold", result, "--tumour", old["tumour"], "--organ", old["organ"])[0] == 0
    assert np.array_equal(read_volume(result / "segmentation.nii.gz").voxels, before)


def test_another_folder_leaves_the_old_result_as_it_was(pancascade, result, tmp_path):
    before = content(result)
    assert pancascade("threshold", result, "--tumour", "0.97", "--out", tmp_path / "new")[0] == 0
    assert content(result) == before
    assert tumour_voxels(tmp_path / "new") < tumour_voxels(result)
    assert told(tmp_path / "new")["scan"] == told(result)["scan"]


@pytest.mark.parametrize("value", ["0", "1", "-0.3", "1.5", "nan", "inf"])
@pytest.mark.parametrize("option", ["--tumour", "--organ"])
def test_a_threshold_that_is_no_probability_is_refused(pancascade, result, option, value):
    before = content(result)
    assert f"{option} " in refused(pancascade("threshold", result, option, value))
    assert content(result) == before


def test_no_threshold_at_all_is_refused(pancascade, result):
    assert "--tumour or --organ" in refused(pancascade("threshold", result))


def test_a_scan_that_was_moved_is_asked_for_and_found(pancascade, result, scan, tmp_path):
    moved = scan.rename(tmp_path / "moved.nii.gz")
    before = content(result)
    err = refused(pancascade("threshold", result, "--tumour", "0.9"))
    assert str(scan) in err
    assert "--scan" in err
    assert content(result) == before
    assert pancascade("threshold", result, "--tumour", "0.97", "--scan", moved)[0] == 0
    assert told(result)["scan"] == str(moved)


def test_a_result_that_was_moved_still_works(pancascade, result, tmp_path):
    moved = result.rename(tmp_path / "elsewhere")
    assert pancascade("threshold", moved, "--tumour", "0.97")[0] == 0


def test_another_scan_is_refused(pancascade, result, tmp_path):
    volume, _ = abdomen(shape=(58, 46, 18))
    write_volume(volume, tmp_path / "other.nii.gz")
    err = refused(pancascade("threshold", result, "--tumour", "0.9", "--scan", tmp_path / "other.nii.gz"))
    assert "not on the grid" in err


def lose_probabilities(folder: Path) -> None:
    (folder / "probability_tumour.nii.gz").unlink()


def cut_probabilities(folder: Path) -> None:
    path = folder / "probability_tumour.nii.gz"
    path.write_bytes(path.read_bytes()[:-20])


def replace_probabilities(folder: Path) -> None:
    scan = read_volume(told(folder)["scan"])
    write_volume(scan, folder / "probability_tumour.nii.gz")


def change_result(**changes: object):
    def change(folder: Path) -> None:
        (folder / "result.json").write_text(json.dumps(told(folder) | changes))

    return change


DAMAGES = {
    "probabilities lost": (lose_probabilities, "--save-probabilities"),
    "probabilities cut": (cut_probabilities, "ends too early"),
    "probabilities replaced": (replace_probabilities, "no probabilities"),
    "format of the future": (change_result(format=99), "format"),
    "thresholds of text": (change_result(thresholds="high"), "thresholds"),
    "no json": (lambda folder: (folder / "result.json").write_text("{"), "not readable"),
    "no result": (lambda folder: (folder / "result.json").unlink(), "result.json"),
    "not utf-8": (lambda folder: (folder / "result.json").write_bytes(b"\xff\xfe\x00"), "not readable"),
}


@pytest.mark.parametrize(("damage", "says"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_result_is_one_sentence_and_stays_as_it_is(pancascade, result, tmp_path, damage, says):
    damage(result)
    before = content(result)
    assert says in refused(pancascade("threshold", result, "--tumour", "0.9", "--out", tmp_path / "new"))
    assert content(result) == before
    assert not (tmp_path / "new").exists()


def test_a_model_that_is_gone_costs_only_its_card(pancascade, result):
    change_result(model="lost.safetensors")(result)
    assert pancascade("threshold", result, "--tumour", "0.97")[0] == 0
    assert told(result)["model"] == "lost.safetensors"


def test_vessels_are_measured_again_or_said_to_be_left_out(pancascade, scan, tmp_path):
    volume, truth = abdomen()
    write_volume(volume.with_voxels((truth == 2).astype(np.uint8)), tmp_path / "v.nii.gz")
    vessel = ("--vessels", f"vein={tmp_path / 'v.nii.gz'}")
    out = tmp_path / "out"
    assert pancascade("segment", scan, "--out", out, "--save-probabilities", *vessel)[0] == 0
    code, _, err = pancascade("threshold", out, "--tumour", "0.6", *vessel)
    assert (code, err) == (0, "")
    (lesion,) = told(out)["pancreas_and_lesions"]["lesions"]
    assert [contact["vessel"] for contact in lesion["vessels"]] == ["vein"]
    code, _, err = pancascade("threshold", out, "--tumour", "0.6")
    assert (code, err) == (0, "Not measured again: vein. Give the masks with --vessels.\n")


def test_formats_and_identifiers_stay_as_they_were(pancascade, scan, tmp_path):
    volume = reorient(read_volume(scan), "LPS")
    slices = ct_slices(
        volume.voxels.transpose(2, 1, 0).astype(np.int16),
        spacing_mm=(volume.spacing_mm[1], volume.spacing_mm[0]),
        origin_mm=volume.affine[:3, 3] * (-1, -1, 1),
        step_mm=(0, 0, volume.spacing_mm[2]),
    )
    save_all(slices, tmp_path / "series")
    given = ("--save-probabilities", "--format", "rtstruct", "--keep-identifiers")
    out = tmp_path / "out"
    assert pancascade("segment", tmp_path / "series", "--out", out, *given)[0] == 0
    assert pancascade("threshold", out, "--tumour", "0.97")[0] == 0
    assert (out / "rtstruct.dcm").exists()
    assert not (out / "segmentation.nii.gz").exists()
    assert told(out)["identifiers"]["patient_id"] == IDENTIFIERS["PatientID"]
    err = refused(pancascade("threshold", out, "--tumour", "0.9", "--scan", scan))
    assert "must refer to a DICOM series" in err or "not on the grid" in err


def test_the_scan_is_never_replaced(pancascade, result, scan, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    moved = Path(shutil.move(scan, mine / "segmentation.nii.gz"))
    before = moved.read_bytes()
    err = refused(pancascade("threshold", result, "--tumour", "0.9", "--scan", moved, "--out", mine))
    assert "would replace the scan itself" in err
    assert moved.read_bytes() == before
