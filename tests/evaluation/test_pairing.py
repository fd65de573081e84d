import os
import sys
import unicodedata
from pathlib import Path

import pytest

from pancascade.errors import DataError
from pancascade.evaluation.pairing import find_masks, pair

COMPOSED, APART = (unicodedata.normalize(form, "Müller") for form in ("NFC", "NFD"))


def files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


@pytest.fixture
def predictions(tmp_path) -> Path:
    return tmp_path / "predictions"


@pytest.fixture
def reference(tmp_path) -> Path:
    return tmp_path / "reference"


def test_names_without_suffix_belong_together_whatever_the_format(predictions, reference):
    files(predictions, "b.mha", "a.nii.gz", "scan.v2.nrrd", "C.NII.GZ")
    files(reference, "a.nii", "b.nii.gz", "scan.v2.nii.gz", "C.nii.gz")
    found = pair(predictions, reference)
    assert list(found.masks) == ["C", "a", "b", "scan.v2"]
    assert found.masks["b"] == (reference / "b.nii.gz", predictions / "b.mha")
    assert found.masks["C"] == (reference / "C.nii.gz", predictions / "C.NII.GZ")
    assert found.failures == ()


@pytest.mark.skipif(sys.platform != "linux", reason="other file systems take no such name")
def test_a_mask_whose_name_is_not_utf_8_is_refused(predictions):
    files(predictions, "case.nii.gz", os.fsdecode(b"caf\xe9.nii.gz"))
    with pytest.raises(DataError, match=r"caf\?: this name is not UTF-8 text"):
        find_masks(predictions)


def test_hidden_files_other_files_and_folders_are_no_masks(predictions):
    files(predictions, "a.nii.gz", ".b.nii.gz", "notes.txt", "c.raw", "deeper/d.nii.gz", ".e/segmentation.nii.gz")
    assert find_masks(predictions) == ({"a": predictions / "a.nii.gz"}, [])


def test_what_segment_writes_for_each_scan_is_found(predictions, reference):
    files(predictions, "a/segmentation.nii.gz", "a/overview.png", "a/result.json", "b/other.nii.gz", "c.nii.gz")
    files(reference, "a.nii.gz", "c.nii.gz")
    found = pair(predictions, reference)
    assert found.masks == {
        "a": (reference / "a.nii.gz", predictions / "a" / "segmentation.nii.gz"),
        "c": (reference / "c.nii.gz", predictions / "c.nii.gz"),
    }
    assert found.failures == ()


def test_a_scan_and_its_raw_voxels_are_one_mask(predictions):
    files(predictions, "a.mhd", "a.raw")
    assert find_masks(predictions)[0] == {"a": predictions / "a.mhd"}


@pytest.mark.parametrize("where", ["predictions", "reference"])
@pytest.mark.parametrize("twin", ["a.mha", "a/segmentation.nii.gz"])
def test_two_masks_of_one_name_are_a_failure_of_that_case_alone(predictions, reference, where, twin):
    files(predictions, "a.nii.gz", "b.nii.gz")
    files(reference, "a.nii.gz", "b.nii.gz")
    folder = files({"predictions": predictions, "reference": reference}[where], twin)
    found = pair(predictions, reference)
    assert list(found.masks) == ["b"]
    ((case, message),) = found.failures
    assert case == "a"
    assert sorted(message.split(": ")[0].split(" and ")) == sorted(["a.nii.gz", twin.split("/")[-1]])
    assert f"two masks of one name in {folder.name}. Remove or rename one." in message
    assert str(folder.parent) not in message


def test_a_reference_without_prediction_stays_with_none(predictions, reference):
    files(predictions, "a.nii.gz")
    files(reference, "a.nii.gz", "b.nii.gz")
    found = pair(predictions, reference)
    assert found.masks["b"] == (reference / "b.nii.gz", None)
    assert found.failures == ()


def test_a_prediction_without_reference_is_a_failure_with_a_hint(predictions, reference):
    files(predictions, "case_001.nii.gz", "case_0O2.nii.gz", "zzz.nii.gz")
    files(reference, "case_001.nii.gz", "case_002.nii.gz")
    failures = {failure.case: failure.message for failure in pair(predictions, reference).failures}
    assert list(failures) == ["case_0O2", "zzz"]
    assert failures["case_0O2"].endswith("Is it case_002?")
    assert failures["case_0O2"].startswith("case_0O2.nii.gz: ")
    assert failures["zzz"] == "zzz.nii.gz: no reference of this name in reference."
    assert "Is it" not in failures["zzz"]


def test_two_single_files_belong_together_whatever_their_names(predictions, reference):
    files(predictions, "found.mha")
    files(reference, "case_7.nii.gz")
    one, other = predictions / "found.mha", reference / "case_7.nii.gz"
    assert pair(one, other) == ({"case_7": (other, one)}, ())


def test_a_file_and_a_folder_do_not_belong_together(predictions, reference):
    files(predictions, "a.nii.gz")
    files(reference, "a.nii.gz")
    for paths in ((predictions / "a.nii.gz", reference), (predictions, reference / "a.nii.gz")):
        with pytest.raises(DataError, match="one is a file, the other a folder") as refused:
            pair(*paths)
        assert all(path.name in str(refused.value) for path in paths)


@pytest.mark.parametrize("missing", ["predictions", "reference"])
@pytest.mark.parametrize("other", ["folder", "file"])
def test_a_path_that_is_not_there_is_named(predictions, reference, missing, other):
    paths = {"predictions": predictions, "reference": reference}
    for name, folder in paths.items():
        if name != missing:
            files(folder, "a.nii.gz")
            paths[name] = folder if other == "folder" else folder / "a.nii.gz"
    with pytest.raises(DataError, match="there is no such file or folder") as refused:
        pair(**paths)
    assert str(refused.value).startswith(f"{paths[missing].name}: ")


@pytest.mark.parametrize("content", [(), ("readme.txt",), (".a.nii.gz",)])
def test_a_folder_without_masks_is_refused_with_the_formats_it_may_hold(predictions, content):
    predictions.mkdir()
    files(predictions, *content)
    with pytest.raises(DataError, match=r"holds no masks \(\.nii, \.nii\.gz") as refused:
        find_masks(predictions)
    assert str(refused.value).startswith("predictions: ")


def test_folders_with_no_name_in_common_are_refused_with_an_example_of_each(predictions, reference):
    files(predictions, "pred_1.nii.gz")
    files(reference, "gt_1.nii.gz")
    with pytest.raises(DataError, match=r"no two masks have the same name \(for example pred_1, gt_1\)"):
        pair(predictions, reference)


def test_a_folder_that_may_not_be_listed_is_named(predictions, monkeypatch):
    files(predictions, "a.nii.gz")

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match=r"^predictions: cannot be listed \(Permission denied\)"):
        find_masks(predictions)


def test_odd_names_and_links_are_masks_like_others(predictions, reference, tmp_path):
    names = ("-dash.nii.gz", "with space.nii.gz", "Пациент 7 ü.nii.gz", "[a].nii.gz", "a|b&c_%.nii.gz")
    files(predictions, *names)
    files(reference, *names)
    files(tmp_path / "elsewhere", "real.nii.gz")
    (predictions / "linked.nii.gz").symlink_to(tmp_path / "elsewhere" / "real.nii.gz")
    (predictions / "broken.nii.gz").symlink_to(tmp_path / "nowhere")
    files(reference, "linked.nii.gz", "broken.nii.gz")
    found = pair(predictions, reference)
    assert set(found.masks) == {name.removesuffix(".nii.gz") for name in (*names, "linked.nii.gz", "broken.nii.gz")}
    assert found.masks["broken"][1] is None
    assert found.masks["linked"][1] == predictions / "linked.nii.gz"


@pytest.mark.parametrize(
    ("prediction", "truth"),
    [
        ("Case_1.nii.gz", "case_1.nii.gz"),
        ("case_1.nii.gz", "case_1_0000.nii.gz"),
        ("case_1_0000.nii.gz", "case_1.nii.gz"),
        ("case_1.seg.nrrd", "CASE_1.nii.gz"),
        ("case_1.nii.gz", "Case_1.seg.nrrd"),
        (f"{APART}.nii.gz", f"{COMPOSED}.nii.gz"),
    ],
)
def test_names_that_tools_spell_otherwise_belong_together(predictions, reference, prediction, truth):
    files(predictions, prediction, "other.nii.gz")
    files(reference, truth, "other.nii.gz")
    found = pair(predictions, reference)
    assert sorted(map(str, found.masks.values())) == sorted(
        map(
            str,
            [(reference / truth, predictions / prediction), (reference / "other.nii.gz", predictions / "other.nii.gz")],
        )
    )
    assert found.failures == ()


def test_the_very_name_comes_first_and_two_that_are_alike_are_not_guessed_at(predictions, reference):
    files(predictions, "a.nii.gz", "A_0000.nii.gz", "B.nii.gz", "b_0000.nii.gz")
    files(reference, "a.nii.gz", "b.nii.gz")
    found = pair(predictions, reference)
    assert found.masks == {
        "a": (reference / "a.nii.gz", predictions / "a.nii.gz"),
        "b": (reference / "b.nii.gz", None),
    }
    assert [failure.case for failure in found.failures] == ["A_0000", "B", "b_0000"]


def test_a_folder_for_each_patient_may_hold_files_of_one_name(predictions, reference):
    files(predictions, "p1/mask.nii.gz", "p1/notes.txt", "P2/mask.nii.gz")
    files(reference, "p1/seg.nrrd", "p2/seg.nrrd", "p3/seg.nrrd", "p3/other.nrrd")
    assert pair(predictions, reference).masks == {
        "p1": (reference / "p1" / "seg.nrrd", predictions / "p1" / "mask.nii.gz"),
        "p2": (reference / "p2" / "seg.nrrd", predictions / "P2" / "mask.nii.gz"),
    }
