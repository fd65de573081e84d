import sys
from pathlib import Path

# Small data sets are made once, beside the tests of the store.
sys.path.insert(0, str(Path(__file__).parents[1] / "data" / "store"))

import pytest
from small_sets import make_msd, make_pictures

from pancascade.data.readers import prepared_store
from pancascade.data.store.manifest import read_manifest


@pytest.fixture
def folder(tmp_path):
    return make_msd(tmp_path / "Task07_Pancreas")


def test_a_data_set_becomes_a_store_and_its_counts_stand_beside_the_papers(pancascade, folder, tmp_path):
    code, out, err = pancascade("data", "prepare", folder, "--out", tmp_path / "store", "--workers", 1)
    assert (code, err) == (0, "")
    for words in ("volumes", "cases", "with tumour", "MB"):
        assert words in out
    assert "Differs: MSD Task07, slices with tumour: found 2, Qiu et al. 2024 gives 2537" in out
    assert len(prepared_store(tmp_path / "store")) == 3
    again = pancascade("data", "prepare", folder, "--out", tmp_path / "store", "--workers", 1)
    assert (again[0], "3 were there already" in again[1]) == (0, True)


def test_options_reach_the_store(pancascade, folder, tmp_path):
    options = ("--kind", "pictures", "--keep", "tumour", "--window", -100, 155, "--spacing", 1, 1, 2.5)
    code, _, err = pancascade("data", "prepare", folder, "--out", tmp_path / "store", "--workers", 1, *options)
    assert (code, err) == (0, "")
    found = read_manifest(tmp_path / "store").options
    assert (found.kind, found.keep, found.spacing_mm) == ("pictures", "tumour", (1, 1, 2.5))
    assert (found.picture_window.lower_hu, found.picture_window.upper_hu) == (-100, 155)
    assert found.reading.layout == "msd"


def test_a_slice_folder_becomes_slices_as_it_was_read(pancascade, tmp_path):
    folder = make_pictures(tmp_path / "slices")
    arguments = ("data", "prepare", folder, "--out", tmp_path / "store", "--workers", 1)
    assert pancascade(*arguments, "--picture-window", 0, 255, "--flip-rows")[0] == 0
    options = read_manifest(tmp_path / "store").options
    assert (options.kind, options.reading.flip_rows, options.reading.picture_window.upper_hu) == ("slices", True, 255)
    code, _, err = pancascade(*arguments, "--picture-window", 0, 255)
    assert code == 2
    assert "a store with flip_rows True, not False" in err


def test_a_bad_case_is_named_and_ends_with_1(pancascade, folder, tmp_path):
    (folder / "labelsTr" / "pancreas_001.nii.gz").write_bytes(b"nothing")
    code, out, _ = pancascade("data", "prepare", folder, "--out", tmp_path / "store", "--workers", 1)
    assert code == 1
    assert "Not in the store: pancreas_001: " in out
    assert [case.name for case in prepared_store(tmp_path / "store")] == ["pancreas_000", "pancreas_002"]


def test_verify_finds_what_changed(pancascade, folder, tmp_path):
    store = tmp_path / "store"
    pancascade("data", "prepare", folder, "--out", store, "--workers", 1)
    code, out, _ = pancascade("data", "prepare", store, "--verify")
    assert (code, "all 8 files are unchanged" in out) == (0, True)
    (store / "arrays" / "pancreas_000_hu.b2nd").write_bytes(b"nothing")
    code, out, _ = pancascade("data", "prepare", store, "--verify")
    assert (code, out.startswith("arrays/pancreas_000_hu.b2nd: not as it was written")) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "Give --out, a folder for the store of"),
        (("--out", "x", "--verify"), "--verify checks the store"),
        (("--out", "x", "--kind", "volumes", "--keep", "tumour"), "a volume keeps all its slices. Check the options."),
        (("--out", "x", "--kind", "pictures", "--window", "5", "5"), "must be < upper_hu"),
        (("--out", "x", "--spacing", "1", "0", "1"), "spacing must be above 0 mm, got 1 0 1"),
        (("--out", "x", "--layout", "dicom"), "--layout dicom: known are"),
    ],
)
def test_options_that_do_not_fit_are_one_sentence(pancascade, folder, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    code, _, err = pancascade("data", "prepare", folder, *arguments)
    assert code == 2
    assert sentence in err
    assert not (tmp_path / "x").exists()
