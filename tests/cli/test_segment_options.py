"""Options of ``pancascade segment``: formats, vessels, identifiers, memory; and folders that are not to be touched."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from abdomen_phantom import abdomen
from dicom_writing import IDENTIFIERS, ct_slices, save_all

from pancascade.errors import OutputError
from pancascade.files.atomic import DRAFT
from pancascade.files.output_lock import LOCK, lock_output
from pancascade.imaging.io import read_volume, write_volume
from pancascade.imaging.volume import reorient


@pytest.fixture
def series(scan, tmp_path) -> Path:
    """The phantom as DICOM."""
    return save_series(scan, tmp_path / "series")


def save_series(scan: Path, folder: Path, **tags: object) -> Path:
    volume = reorient(read_volume(scan), "LPS")
    slices = ct_slices(
        volume.voxels.transpose(2, 1, 0).astype(np.int16),
        spacing_mm=(volume.spacing_mm[1], volume.spacing_mm[0]),
        origin_mm=volume.affine[:3, 3] * (-1, -1, 1),
        step_mm=(0, 0, volume.spacing_mm[2]),
        **tags,
    )
    save_all(slices, folder)
    return folder


@pytest.fixture
def vessels(tmp_path) -> Path:
    """A label map: 1 crosses the phantom's tumour, 2 lies far from it."""
    volume, truth = abdomen()
    labels = np.zeros(volume.shape, np.uint8)
    i, j, _ = np.argwhere(truth == 2).mean(axis=0).astype(int)
    labels[i : i + 2, j : j + 2] = 1
    labels[2:4, 2:4] = 2
    write_volume(volume.with_voxels(labels), tmp_path / "vessels.nii.gz")
    return tmp_path / "vessels.nii.gz"


@pytest.fixture
def never_runs(monkeypatch):
    """No network is to be run before what is wrong with the options is found."""

    def run(*_, **__):
        pytest.fail("a network ran for nothing")

    monkeypatch.setattr("pancascade.segmentation.segmenter.load_models", run)


def reported(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def refused(answer: tuple[int, str, str]) -> str:
    code, _, err = answer
    assert code == 2, err
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    return err


def test_masks_of_several_formats_lie_beside_each_other(pancascade, knows_the_phantom, series, tmp_path):
    pytest.importorskip("highdicom")
    formats = ("--format", "nifti", "--format", "dicom-seg", "--format", "rtstruct", "--format", "nifti")
    code, out, _ = pancascade("segment", series, "--out", tmp_path / "out", *formats)
    assert code == 0
    masks = {"segmentation.nii.gz", "segmentation.dcm", "rtstruct.dcm"}
    assert names(tmp_path / "out") == masks | {"overview.png", "report.html", "result.json"}
    for mask in masks:
        assert f"Mask: {tmp_path / 'out' / mask}" in out


def test_only_the_formats_asked_for_are_written_and_those_of_before_go(pancascade, knows_the_phantom, series, tmp_path):
    out = tmp_path / "out"
    assert pancascade("segment", series, "--out", out)[0] == 0
    assert pancascade("segment", series, "--out", out, "--format", "rtstruct")[0] == 0
    assert names(out) == {"rtstruct.dcm", "overview.png", "report.html", "result.json"}


def test_the_measurement_report_comes_with_the_segmentation_that_it_refers_to(
    pancascade, knows_the_phantom, series, tmp_path
):
    pytest.importorskip("highdicom")
    code, out, _ = pancascade("segment", series, "--out", tmp_path / "out", "--format", "dicom-sr")
    assert code == 0
    written = {"segmentation.dcm", "measurements.dcm"}
    assert names(tmp_path / "out") == written | {"overview.png", "report.html", "result.json"}
    assert f"Measurements: {tmp_path / 'out' / 'measurements.dcm'}" in out
    assert written <= reported(tmp_path / "out")["files"].keys()


@pytest.mark.parametrize("kind", ["dicom-seg", "rtstruct", "dicom-sr"])
def test_dicom_out_of_a_scan_that_is_none_is_refused_at_once(pancascade, never_runs, scan, tmp_path, kind):
    err = refused(pancascade("segment", scan, "--out", tmp_path / "out", "--format", kind))
    assert "must refer to a DICOM series" in err
    assert not (tmp_path / "out").exists()


def test_dicom_out_of_images_without_uids_is_refused_at_once(pancascade, never_runs, scan, tmp_path):
    folder = save_series(scan, tmp_path / "nameless", StudyInstanceUID="")
    err = refused(pancascade("segment", folder, "--out", tmp_path / "out", "--format", "rtstruct"))
    assert "StudyInstanceUID is missing" in err


def test_lesions_are_measured_to_each_vessel(pancascade, knows_the_phantom, scan, vessels, tmp_path):
    given = ("--vessels", f"near <b>vein={vessels}:1", "--vessels", f"far=artery={vessels}:2")
    err = refused(pancascade("segment", scan, "--out", tmp_path / "out", *given))
    assert "vessels.nii.gz: there is no such file" in err
    given = ("--vessels", f"near <b>vein={vessels}:1", "--vessels", f"far={vessels}:2")
    code, _, _ = pancascade("segment", scan, "--out", tmp_path / "out", *given)
    assert code == 0
    (lesion,) = reported(tmp_path / "out")["pancreas_and_lesions"]["lesions"]
    near, far = lesion["vessels"]
    assert (near["vessel"], far["vessel"]) == ("near <b>vein", "far")
    assert near["distance_mm"] == 0
    assert far["distance_mm"] > 20
    assert "near &lt;b&gt;vein" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "refusal.json" not in names(tmp_path / "out")


@pytest.mark.parametrize("given", ["{file}", "a={file}:9", "a={file}:0", "a=missing.nii.gz", "a={scan}"])
def test_a_vessel_that_cannot_be_used_is_refused_at_once(pancascade, never_runs, scan, vessels, tmp_path, given):
    given = given.format(file=vessels, scan=scan)
    refused(pancascade("segment", scan, "--out", tmp_path / "out", "--vessels", given))
    assert not (tmp_path / "out").exists(), "an option's fault is not the scan's refusal"


def test_a_vessel_on_another_grid_is_refused_at_once(pancascade, never_runs, scan, tmp_path):
    volume, _ = abdomen(shape=(58, 46, 18))
    write_volume(volume.with_voxels((volume.voxels > 0).astype(np.uint8)), tmp_path / "v.nii.gz")
    err = refused(pancascade("segment", scan, "--out", tmp_path / "out", "--vessels", f"a={tmp_path / 'v.nii.gz'}"))
    assert "not on the grid" in err


@pytest.mark.parametrize("memory", ["0", "-1", "0.01", "nan"])
def test_a_memory_that_no_scan_fits_into_is_refused(pancascade, knows_the_phantom, scan, tmp_path, memory):
    err = refused(pancascade("segment", scan, "--out", tmp_path / "out", "--max-memory", memory))
    assert f"--max-memory allows {memory}" in err
    assert not (tmp_path / "out").exists()


def test_a_bound_on_the_memory_does_not_change_the_mask(pancascade, knows_the_phantom, scan, tmp_path):
    assert pancascade("segment", scan, "--out", tmp_path / "free")[0] == 0
    assert pancascade("segment", scan, "--out", tmp_path / "bound", "--max-memory", "64")[0] == 0
    free, bound = (read_volume(tmp_path / out / "segmentation.nii.gz") for out in ("free", "bound"))
    assert free.voxels.any()
    assert np.array_equal(free.voxels, bound.voxels)


def everything(folder: Path, *texts: str) -> bytes:
    written = b"".join(path.read_bytes() for path in folder.iterdir() if path.suffix in (".json", ".html", ".png"))
    return written + "".join(texts).encode()


def test_no_identifier_is_told_anywhere(pancascade, knows_the_phantom, series, tmp_path):
    _, out, err = pancascade("segment", series, "--out", tmp_path / "out")
    _, listed, _ = pancascade("segment", series, "--list-series")
    found = everything(tmp_path / "out", out, err, listed)
    assert not [secret for secret in IDENTIFIERS.values() if secret.encode() in found]
    assert reported(tmp_path / "out")["identifiers"] is None


def test_no_identifier_is_told_by_a_refusal(pancascade, knows_the_phantom, series, tmp_path, monkeypatch):
    monkeypatch.setenv("PANCASCADE_DEBUG", "1")
    next(series.iterdir()).unlink()
    for path in sorted(series.iterdir())[3:5]:
        path.unlink()
    err = refused(pancascade("segment", series, "--out", tmp_path / "out"))
    assert names(tmp_path / "out") == {"refusal.json"}
    found = everything(tmp_path / "out", err)
    assert not [secret for secret in IDENTIFIERS.values() if secret.encode() in found]


def test_identifiers_are_kept_when_asked(pancascade, knows_the_phantom, series, tmp_path):
    assert pancascade("segment", series, "--out", tmp_path / "out", "--keep-identifiers")[0] == 0
    kept = reported(tmp_path / "out")["identifiers"]
    assert kept["patient_name"] == IDENTIFIERS["PatientName"]
    assert kept["patient_id"] == IDENTIFIERS["PatientID"]
    assert IDENTIFIERS["PatientID"] in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_file_that_is_no_dicom_has_no_identifiers_to_keep(pancascade, knows_the_phantom, scan, tmp_path):
    assert pancascade("segment", scan, "--out", tmp_path / "out", "--keep-identifiers")[0] == 0
    assert reported(tmp_path / "out")["identifiers"] == {}


def test_results_may_lie_in_the_scan_s_own_folder_time_and_again(pancascade, knows_the_phantom, series):
    before = {path: path.read_bytes() for path in series.iterdir()}
    for _ in range(2):
        assert pancascade("segment", series, "--out", series, "--format", "rtstruct")[0] == 0
    assert {path: path.read_bytes() for path in before} == before
    assert "rtstruct.dcm" in names(series)


@pytest.mark.parametrize("name", ["segmentation.nii.gz", "probability_tumour.nii.gz"])
@pytest.mark.parametrize("how", ["plain", "link", "beside a result"])
def test_a_scan_is_never_replaced_by_its_result(pancascade, never_runs, scan, tmp_path, name, how):
    out = tmp_path / "mine"
    out.mkdir()
    given = shutil.copy(scan, out / name)
    if how == "link":
        (tmp_path / "link").symlink_to(out)
        given = tmp_path / "link" / name
    elif how == "beside a result":
        (out / "result.json").write_text("{}")
    err = refused(pancascade("segment", given, "--out", out))
    assert f"would replace {name}, which is read" in err
    assert (out / name).read_bytes() == scan.read_bytes()


def test_a_mask_of_somebody_else_is_never_replaced(pancascade, never_runs, scan, tmp_path):
    (tmp_path / "segmentation.nii.gz").write_text("drawn by hand")
    err = refused(pancascade("segment", scan, "--out", tmp_path))
    assert "holds segmentation.nii.gz without a result.json" in err
    assert (tmp_path / "segmentation.nii.gz").read_text() == "drawn by hand"


def test_a_refusal_that_cannot_be_written_down_is_still_told(pancascade, tmp_path, monkeypatch):
    def full(*_):
        raise OutputError("the disk is full")

    monkeypatch.setattr("pancascade.results.refusal.write_refusal", full)
    err = refused(pancascade("segment", tmp_path / "missing.nii.gz", "--out", tmp_path / "out"))
    assert "there is no such file" in err


def test_a_refusal_goes_when_the_scan_is_segmented_after_all(pancascade, knows_the_phantom, scan, tmp_path):
    refused(pancascade("segment", tmp_path / "missing.nii.gz", "--out", tmp_path / "out"))
    assert names(tmp_path / "out") == {"refusal.json"}
    assert pancascade("segment", scan, "--out", tmp_path / "out")[0] == 0
    assert "refusal.json" not in names(tmp_path / "out")


FAULTS_OF_OPTIONS = {
    "a vessel that is missing": ("--vessels", "a=missing.nii.gz"),
    "a vessel's option that is none": ("--vessels", "a"),
    "a series of a scan that has none": ("--series", "3"),
    "DICOM out of NIfTI": ("--format", "rtstruct"),
    "a model that is none": ("--model", "none"),
    "a device that is none": ("--device", "toaster"),
}


@pytest.mark.parametrize("given", FAULTS_OF_OPTIONS.values(), ids=FAULTS_OF_OPTIONS.keys())
def test_an_option_s_fault_is_not_filed_as_the_scan_s_refusal(pancascade, knows_the_phantom, scan, tmp_path, given):
    refused(pancascade("segment", scan, "--out", tmp_path / "out", *given))
    assert not (tmp_path / "out").exists()


def test_a_vessel_on_another_grid_is_not_filed_as_the_scan_s_refusal(pancascade, never_runs, scan, tmp_path):
    volume, _ = abdomen(shape=(58, 46, 18))
    write_volume(volume.with_voxels((volume.voxels > 0).astype(np.uint8)), tmp_path / "v.nii.gz")
    refused(pancascade("segment", scan, "--out", tmp_path / "out", "--vessels", f"a={tmp_path / 'v.nii.gz'}"))
    assert not (tmp_path / "out").exists()


def test_two_segmentations_into_one_folder_at_once_are_refused(pancascade, knows_the_phantom, scan, tmp_path):
    out = tmp_path / "out"
    with lock_output(out, what="segment"):
        err = refused(pancascade("segment", scan, "--out", out))
        assert [path.name for path in out.iterdir()] == [LOCK]
    assert "out: `segment`, process" in err
    assert pancascade("segment", scan, "--out", out)[0] == 0
    assert LOCK not in names(out)


def test_after_a_run_that_was_killed_between_two_files_the_folder_is_no_result_and_can_be_used_again(
    pancascade, knows_the_phantom, scan, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    assert pancascade("segment", scan, "--out", out)[0] == 0
    mask, killed = (out / "segmentation.nii.gz").read_bytes(), Path.replace

    def killed_at_the_report(self, target):
        if self.name == "report.html":  # the last move but one
            shutil.copytree(self.parent, tmp_path / "draft")
            raise KeyboardInterrupt
        return killed(self, target)

    monkeypatch.setattr(Path, "replace", killed_at_the_report)
    volume = read_volume(scan)
    write_volume(volume.with_voxels(np.roll(volume.voxels, 2, axis=0)), scan)
    assert pancascade("segment", scan, "--out", out)[0] == 130
    monkeypatch.undo()
    shutil.move(tmp_path / "draft", out / f"{DRAFT}left")  # what SIGKILL leaves
    assert (out / "segmentation.nii.gz").read_bytes() != mask
    assert "result.json" not in names(out)
    code, _, err = pancascade("cohort", out, "--out", tmp_path / "c.html")
    assert code == 2
    assert "no result.json in it" in err
    knows_the_phantom()
    assert pancascade("segment", scan, "--out", out)[0] == 0
    assert names(out) == {"segmentation.nii.gz", "overview.png", "report.html", "result.json"}
