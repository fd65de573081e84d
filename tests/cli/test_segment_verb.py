import json
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
from abdomen_phantom import abdomen, dice
from dicom_writing import ct_slices, other_series, save_all
from PIL import Image
from pydicom.uid import EnhancedSRStorage

from pancascade.imaging.io import read_volume, write_volume
from pancascade.imaging.volume import reorient


def result_of(folder) -> dict:
    return json.loads((folder / "result.json").read_text())


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_scan_gives_mask_picture_and_numbers(pancascade, knows_the_phantom, scan, tmp_path):
    out = tmp_path / "new" / "out"
    code, reported, err = pancascade("segment", scan, "--out", out)
    assert (code, err) == (0, "")
    assert names(out) == {"segmentation.nii.gz", "overview.png", "report.html", "result.json"}
    _, truth = abdomen()
    mask = np.asarray(nib.load(out / "segmentation.nii.gz").dataobj)
    assert dice(mask > 0, truth > 0) > 0.9
    assert dice(mask == 2, truth == 2) > 0.9
    with Image.open(out / "overview.png") as picture:
        assert picture.format == "PNG"
    result = result_of(out)
    assert result["scan"] == "scan.nii.gz"
    assert result["model"] == "qiu2024-small"
    for title, label in (("pancreas", 1), ("tumour", 2)):
        measured = result["measurements"][title]
        assert measured["voxels"] == np.count_nonzero(mask == label)
        assert measured["volume_ml"] == pytest.approx(measured["voxels"] * 5 * 4.4 * 6 / 1000, abs=2e-3)
        assert f"{measured['volume_ml']:.1f} mL" in reported
    assert result["times_s"]
    assert result["warnings"] == []
    for name in ("overview.png", "segmentation.nii.gz", "result.json"):
        assert str(out / name) in reported
    assert "Research use only" in reported


@pytest.fixture
def series(scan, tmp_path):
    """The phantom as a scanner files it, with a dose report beside it, and on the same grid as NIfTI."""
    volume = reorient(read_volume(scan), "LPS")
    orders = ct_slices(
        volume.voxels.transpose(2, 1, 0).astype(np.int16),
        spacing_mm=(volume.spacing_mm[1], volume.spacing_mm[0]),
        origin_mm=volume.affine[:3, 3] * (-1, -1, 1),
        step_mm=(0, 0, volume.spacing_mm[2]),
    )
    save_all(orders, tmp_path / "study" / "ct")
    report = other_series(EnhancedSRStorage, "1.2.3", Modality="SR", SeriesNumber=9, SeriesDescription="Dose report")
    save_all([report], tmp_path / "study" / "report")
    return tmp_path / "study", volume


def test_a_folder_of_dicom_gives_the_mask_where_the_same_scan_in_a_file_does(
    pancascade, knows_the_phantom, scan, series, tmp_path
):
    folder, volume = series
    assert pancascade("segment", folder, "--out", tmp_path / "dicom")[0] == 0
    assert pancascade("segment", scan, "--out", tmp_path / "file")[0] == 0
    one, other = (read_volume(tmp_path / out / "segmentation.nii.gz") for out in ("dicom", "file"))
    assert one.on_same_grid_as(volume, tolerance_mm=1e-3)
    assert np.array_equal(reorient(one, "LPS").voxels, reorient(other, "LPS").voxels)
    assert one.voxels.any()


def test_series_are_listed_and_chosen(pancascade, knows_the_phantom, series, tmp_path):
    folder, _ = series
    code, reported, _ = pancascade("segment", folder, "--list-series")
    assert code == 0
    assert '(structured report) "Dose report"' in reported
    assert "(ct, " in reported
    code, _, err = pancascade("segment", folder, "--series", "Dose", "--out", tmp_path / "out")
    assert (code, names(tmp_path / "out")) == (2, {"refusal.json"})
    assert "is an axial CT" in err
    refusal = json.loads((tmp_path / "out" / "refusal.json").read_text())
    assert refusal["code"] == "no_ct_series"
    assert refusal["sentence"] in err
    code, _, err = pancascade("segment", folder)
    assert (code, err) == (2, "Error: Give --out, a folder for the results.\n")
    code, _, err = pancascade("segment", tmp_path / "study" / "nothing", "--list-series")
    assert code == 2


def test_probabilities_are_saved_when_asked(pancascade, knows_the_phantom, scan, tmp_path):
    code, _, _ = pancascade("segment", scan, "--out", tmp_path / "out", "--save-probabilities", "--device", "cpu")
    assert code == 0
    added = names(tmp_path / "out") - {"segmentation.nii.gz", "overview.png", "report.html", "result.json"}
    assert added == {"probability_pancreas.nii.gz", "probability_tumour.nii.gz"}


def test_a_model_by_the_path_of_its_description(pancascade, knows_the_phantom, scan, tmp_path):
    (tmp_path / "mine.json").write_text('{"name": "mine", "summary": "x", "steps": [{"weights": "a"}]}')
    code, _, _ = pancascade("segment", scan, "--out", tmp_path / "out", "--model", tmp_path / "mine.json")
    assert code == 0
    assert result_of(tmp_path / "out")["model"] == "mine"


def test_no_pancreas_found_is_no_error_but_says_so(pancascade, knows_the_phantom, tmp_path):
    knows_the_phantom(organ_hu=200)
    volume, _ = abdomen(pancreas=False, tumour=False)
    write_volume(volume, tmp_path / "scan.nii.gz")
    code, reported, err = pancascade("segment", tmp_path / "scan.nii.gz", "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    assert "No pancreas was found" in " ".join(reported.split())
    result = result_of(tmp_path / "out")
    assert any("No pancreas was found" in warning for warning in result["warnings"])
    assert {size["voxels"] for size in result["measurements"].values()} == {0}
    assert {size["box_mm"] for size in result["measurements"].values()} == {None}
    assert not np.asarray(nib.load(tmp_path / "out" / "segmentation.nii.gz").dataobj).any()
    assert "overview.png" in names(tmp_path / "out")


def test_progress_is_shown_on_a_terminal(pancascade, knows_the_phantom, scan, tmp_path, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    code, _, reported = pancascade("segment", scan, "--out", tmp_path / "out")
    assert code == 0
    assert "locate" in reported
    assert "segment" in reported
    assert "━━━" in reported


@pytest.mark.parametrize("folder", ["run[final]", "a[/b]", "[red]"])
def test_a_folder_s_name_is_printed_as_it_is(pancascade, knows_the_phantom, scan, tmp_path, folder):
    out = tmp_path / folder
    code, reported, err = pancascade("segment", scan, "--out", out)
    assert (code, err) == (0, "")
    assert str(out / "overview.png") in reported


def test_the_name_of_a_scan_in_a_warning_is_printed_as_it_is(pancascade, knows_the_phantom, tmp_path):
    volume, _ = abdomen(shape=(58, 46, 8))
    write_volume(volume, tmp_path / "a[b]scan.nii.gz")
    code, reported, err = pancascade("segment", tmp_path / "a[b]scan.nii.gz", "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    assert "a[b]scan.nii.gz: only 8 slices" in " ".join(reported.split())


def test_an_interrupted_run_leaves_nothing_and_ends_with_130(pancascade, scan, tmp_path, monkeypatch):
    def interrupt(path):
        raise KeyboardInterrupt

    monkeypatch.setattr("pancascade.inference.runners.loading.has_graphs", lambda _: False)
    monkeypatch.setattr("pancascade.inference.runners.torch_runners.load_checkpoint", interrupt)
    code, _, err = pancascade("segment", scan, "--out", tmp_path / "out")
    assert code == 130
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_an_interrupted_run_says_so(pancascade, scan, tmp_path, monkeypatch):
    def interrupt(path):
        raise KeyboardInterrupt

    monkeypatch.setattr("pancascade.inference.runners.loading.has_graphs", lambda _: False)
    monkeypatch.setattr("pancascade.inference.runners.torch_runners.load_checkpoint", interrupt)
    _, _, err = pancascade("segment", scan, "--out", tmp_path / "out")
    assert err.startswith("Interrupted.")


def test_a_fault_of_ours_is_one_sentence_that_asks_for_a_report(pancascade, scan, tmp_path, monkeypatch):
    def break_down(path):
        raise ZeroDivisionError("boom")

    monkeypatch.delenv("PANCASCADE_DEBUG", raising=False)
    monkeypatch.setattr("pancascade.inference.runners.loading.has_graphs", lambda _: False)
    monkeypatch.setattr("pancascade.inference.runners.torch_runners.load_checkpoint", break_down)
    code, _, err = pancascade("segment", scan, "--out", tmp_path / "out")
    assert code == 70
    assert "unexpected ZeroDivisionError: boom" in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments", [("segment",), ("segment", "x.nii.gz"), ("segment", "x", "--out", "y", "--colour", "3"), ("find",)]
)
def test_wrong_arguments_end_with_2(pancascade, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    code, _, err = pancascade(*arguments)
    assert code == 2
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "word",
    [
        "scan",
        "--out",
        "--model",
        "--device",
        "--save-probabilities ",
        "[itk]",
    ],
)
def test_help_names_every_option_on_a_narrow_terminal(pancascade, monkeypatch, word):
    monkeypatch.setenv("COLUMNS", "80")
    code, reported, _ = pancascade("segment", "--help")
    assert code == 0
    assert word in reported.lower()


def test_help_loads_neither_torch_nor_matplotlib():
    script = (
        "import sys\n"
        "sys.argv = ['pancascade', *sys.argv[1:], '--help']\n"
        "from pancascade.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert ended.code == 0, ended.code\n"
        "heavy = {'torch', 'matplotlib', 'scipy', 'nibabel', 'lightning_fabric'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    for verbs in ([], ["segment"]):
        done = subprocess.run([sys.executable, "-c", script, *verbs], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "Usage" in done.stdout
