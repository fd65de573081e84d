"""``pancascade threshold``: a result decided anew."""

import json
import shutil
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from abdomen_phantom import HounsfieldCascade, abdomen, described
from dicom_writing import IDENTIFIERS, ct_slices, save_all

from pancascade.imaging.io import read_volume, write_volume
from pancascade.imaging.volume import reorient


class Graded(HounsfieldCascade):
    """Probabilities that rise slowly, so that thresholds matter."""

    def above(self, images, hu):
        return super().above(images, hu) ** 0.2


@pytest.fixture(autouse=True)
def graded(monkeypatch):
    monkeypatch.setattr("pancascade.inference.runners.loading.has_graphs", lambda _: False)
    monkeypatch.setattr("pancascade.inference.runners.torch_runners.load_checkpoint", lambda _: (Graded(), described()))


@pytest.fixture(scope="module")
def segmented(tmp_path_factory) -> Path:
    """A scan and its result, made once; each test has a copy."""
    from pancascade.cli.app import main

    folder = tmp_path_factory.mktemp("segmented")
    write_volume(abdomen()[0], folder / "scan.nii.gz")
    words = ["segment", folder / "scan.nii.gz", "--out", folder / "out", "--save-probabilities"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pancascade.inference.runners.loading.has_graphs", lambda _: False)
        patch.setattr("pancascade.inference.runners.torch_runners.load_checkpoint", lambda _: (Graded(), described()))
        patch.setattr(sys, "argv", ["pancascade", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code in (0, None)
    return folder / "out"


@pytest.fixture
def result(segmented, scan, tmp_path) -> Path:
    """Beside the same scan, as it was where it was made."""
    return shutil.copytree(segmented, tmp_path / "out")


def tumour_voxels(folder: Path) -> int:
    return int(np.count_nonzero(np.asarray(nib.load(folder / "segmentation.nii.gz").dataobj) == 2))


def reported(folder: Path) -> dict:
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
    before, organ = tumour_voxels(result), reported(result)["thresholds"]["organ"]
    code, out, err = pancascade("threshold", result, "--tumour", "0.97")
    assert (code, err) == (0, "")
    new = result.with_name("out_tumour0.97")
    assert 0 < tumour_voxels(new) < before
    now = reported(new)
    assert now["thresholds"] == {"organ": organ, "tumour": 0.97, "tumour_marked": True}
    assert now["measurements"]["tumour"]["voxels"] == tumour_voxels(new)
    assert f"{now['measurements']['tumour']['volume_ml']:.1f} mL" in out
    assert (new / "probability_tumour.nii.gz").exists()


def test_there_and_back_again_gives_the_same_mask(pancascade, result):
    before, old = read_volume(result / "segmentation.nii.gz").voxels, reported(result)["thresholds"]
    assert pancascade("threshold", result, "--tumour", "0.97", "--organ", "0.2", "--out", result)[0] == 0
    assert not np.array_equal(read_volume(result / "segmentation.nii.gz").voxels, before)
    assert pancascade("threshold", result, "--tumour", old["tumour"], "--organ", old["organ"], "--out", result)[0] == 0
    assert np.array_equal(read_volume(result / "segmentation.nii.gz").voxels, before)


def test_another_folder_leaves_the_old_result_as_it_was(pancascade, result, tmp_path):
    before = content(result)
    assert pancascade("threshold", result, "--tumour", "0.97", "--out", tmp_path / "new")[0] == 0
    assert content(result) == before
    assert tumour_voxels(tmp_path / "new") < tumour_voxels(result)
    assert reported(tmp_path / "new")["scan"] == reported(result)["scan"]


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
    assert "scan.nii.gz" in err
    assert str(tmp_path) not in err
    assert "--scan" in err
    assert content(result) == before
    assert pancascade("threshold", result, "--tumour", "0.97", "--scan", moved)[0] == 0
    assert reported(result.with_name("out_tumour0.97"))["scan"] == "moved.nii.gz"


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
    write_volume(read_volume(folder.with_name("scan.nii.gz")), folder / "probability_tumour.nii.gz")


def change_result(**changes: object):
    def change(folder: Path) -> None:
        (folder / "result.json").write_text(json.dumps(reported(folder) | changes))

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
    assert reported(result.with_name("out_tumour0.97"))["model"] == "lost.safetensors"


def test_vessels_are_measured_again_or_said_to_be_left_out(pancascade, scan, tmp_path):
    volume, truth = abdomen()
    write_volume(volume.with_voxels((truth == 2).astype(np.uint8)), tmp_path / "v.nii.gz")
    vessel = ("--vessels", f"vein={tmp_path / 'v.nii.gz'}")
    out = tmp_path / "out"
    assert pancascade("segment", scan, "--out", out, "--save-probabilities", *vessel)[0] == 0
    code, _, err = pancascade("threshold", out, "--tumour", "0.6", *vessel)
    assert (code, err) == (0, "")
    (lesion,) = reported(tmp_path / "out_tumour0.6")["pancreas_and_lesions"]["lesions"]
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
    new = tmp_path / "out_tumour0.97"
    assert (new / "rtstruct.dcm").exists()
    assert not (new / "segmentation.nii.gz").exists()
    assert reported(new)["identifiers"]["patient_id"] == IDENTIFIERS["PatientID"]
    err = refused(pancascade("threshold", out, "--tumour", "0.9", "--scan", scan))
    assert "must refer to a DICOM series" in err or "not on the grid" in err


def test_the_scan_is_never_replaced(pancascade, result, scan, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    moved = Path(shutil.move(scan, mine / "segmentation.nii.gz"))
    before = moved.read_bytes()
    err = refused(pancascade("threshold", result, "--tumour", "0.9", "--scan", moved, "--out", mine))
    assert "would replace segmentation.nii.gz, which is read" in err
    assert moved.read_bytes() == before


def another_patient(scan: Path) -> None:
    """A scan of the same name and grid with other voxels."""
    volume = read_volume(scan)
    write_volume(volume.with_voxels(np.where(volume.voxels > 0, volume.voxels + 30, volume.voxels)), scan)


def test_a_scan_that_was_replaced_since_is_refused(pancascade, result, scan, tmp_path):
    another_patient(scan)
    before = content(result)
    err = refused(pancascade("threshold", result, "--tumour", "0.9"))
    assert err.startswith("Error: scan.nii.gz: is not the segmented scan")
    assert refused(pancascade("threshold", result, "--tumour", "0.9", "--scan", scan)) == err
    assert content(result) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "scan.nii.gz"]


def test_a_scan_of_the_same_name_where_the_verb_runs_is_not_taken_for_it(pancascade, scan, tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(scan, tmp_path / name / "scan.nii.gz")
    another_patient(tmp_path / "b" / "scan.nii.gz")
    monkeypatch.chdir(tmp_path / "a")
    assert pancascade("segment", "scan.nii.gz", "--out", tmp_path / "far" / "out", "--save-probabilities")[0] == 0
    organ = reported(tmp_path / "far" / "out")["pancreas_and_lesions"]["organ"]["mean_hu"]
    monkeypatch.chdir(tmp_path / "b")
    assert pancascade("threshold", tmp_path / "far" / "out", "--tumour", "0.97")[0] == 0
    again = reported(tmp_path / "far" / "out_tumour0.97")["pancreas_and_lesions"]["organ"]["mean_hu"]
    assert abs(again - organ) < 15
    (tmp_path / "a" / "scan.nii.gz").unlink()
    err = refused(pancascade("threshold", tmp_path / "far" / "out", "--tumour", "0.97"))
    assert "is not the segmented scan" in err


def test_the_same_voxels_in_another_file_are_the_same_scan(pancascade, result, scan, tmp_path):
    volume = read_volume(scan)
    write_volume(volume.with_voxels(volume.voxels.astype(np.float32)), tmp_path / "copy.nii")
    scan.unlink()
    assert pancascade("threshold", result, "--tumour", "0.97", "--scan", tmp_path / "copy.nii")[0] == 0


def test_without_out_nothing_is_ever_written_over(pancascade, result):
    before = content(result)
    for _ in range(2):
        assert pancascade("threshold", result, "--tumour", "0.97")[0] == 0
    assert content(result) == before
    first, second = (result.with_name(name) for name in ("out_tumour0.97", "out_tumour0.97_2"))
    assert tumour_voxels(first) == tumour_voxels(second)


@pytest.mark.parametrize("verb", ["threshold", "segment"])
def test_an_edited_mask_is_not_written_over(pancascade, result, scan, verb):
    mask = read_volume(result / "segmentation.nii.gz")
    write_volume(mask.with_voxels(np.roll(mask.voxels, 1, axis=0)), result / "segmentation.nii.gz")
    before = content(result)
    given = (result, "--tumour", "0.97") if verb == "threshold" else (scan,)
    err = refused(pancascade(verb, *given, "--out", result))
    assert "segmentation.nii.gz was edited" in err
    assert content(result) == before


def test_a_result_of_a_former_version_finds_its_scan_by_its_path(pancascade, result, scan, tmp_path):
    old = {key: value for key, value in reported(result).items() if key not in ("scan_place", "scan_digest", "files")}
    (result / "result.json").write_text(json.dumps(old | {"scan": str(scan)}))
    assert pancascade("threshold", result, "--tumour", "0.97", "--out", tmp_path / "new")[0] == 0
    assert reported(tmp_path / "new")["scan"] == "scan.nii.gz"


def test_probability_maps_added_to_a_result_without_its_own_are_refused(pancascade, result):
    content = reported(result)
    content["files"] = {name: one for name, one in content["files"].items() if not name.startswith("probability_")}
    (result / "result.json").write_text(json.dumps(content))
    before = {path.name: path.read_bytes() for path in result.iterdir() if path.is_file()}
    err = refused(pancascade("threshold", result, "--tumour", "0.9"))
    assert "out: probability_pancreas.nii.gz is not what was written with result.json." in err
    assert {path.name: path.read_bytes() for path in result.iterdir() if path.is_file()} == before
