"""MSD, nnU-Net and PANORAMA as their archives unpack, written small."""

import json

import nibabel as nib
import numpy as np
import pytest

from pancascade.data.readers import msd, nnunet_raw, panorama, require_files
from pancascade.data.readers.structure import Structure
from pancascade.errors import DataError
from pancascade.labels import Label

AFFINE = np.diag((-0.8, -0.8, 2.5, 1.0))


def save(path, values, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, affine), path)
    return path


def pair(number: int):
    """A scan and label map that differ from case to case."""
    hu = np.full((8, 7, 5), number, np.int16)
    hu[:, :2] = -1000  # air, as a CT has it
    labels = np.zeros(hu.shape, np.uint8)
    labels[2:5, 2:5, 1:4] = 1
    labels[3, 3, 2] = 2
    return hu, labels


def require_pair(case, number):
    image, labels = case.scan.read()
    hu, true = pair(number)
    assert np.array_equal(image.voxels, hu)
    assert np.array_equal(labels.voxels, true)
    assert labels.on_same_grid_as(image)
    assert [axial.labels.max() for axial in case.read_slices()] == [0, Label.PANCREAS, Label.TUMOUR, Label.PANCREAS, 0]


# ── MSD ──


@pytest.fixture
def task07(tmp_path):
    folder = tmp_path / "Task07_Pancreas"
    for number in (12, 4):
        hu, labels = pair(number)
        save(folder / "imagesTr" / f"pancreas_{number:03d}.nii.gz", hu)
        save(folder / "labelsTr" / f"pancreas_{number:03d}.nii.gz", labels)
    save(folder / "imagesTs" / "pancreas_002.nii.gz", pair(2)[0])
    (folder / "imagesTr" / "._pancreas_012.nii.gz").write_bytes(b"macOS")
    content = {
        "name": "Pancreas",
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "pancreas", "2": "cancer"},
        "numTraining": 2,
        "training": [
            {"image": f"./imagesTr/pancreas_{n:03d}.nii.gz", "label": f"./labelsTr/pancreas_{n:03d}.nii.gz"}
            for n in (12, 4)
        ],
        "test": ["./imagesTs/pancreas_002.nii.gz"],
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def test_msd_s_cases_are_those_of_its_list(task07):
    four, twelve = msd(task07)
    assert [(case.name, case.patient, case.source) for case in (four, twelve)] == [
        ("pancreas_004", "pancreas_004", "Task07_Pancreas"),
        ("pancreas_012", "pancreas_012", "Task07_Pancreas"),
    ]
    assert four.scan.meaning == {1: Structure.PANCREAS, 2: Structure.TUMOUR}
    require_pair(four, 4)
    require_pair(twelve, 12)


def test_msd_s_files_may_be_unpacked_one_by_one(task07):
    for path in task07.glob("*Tr/pancreas_004.nii.gz"):
        nib.save(nib.load(path), path.with_suffix(""))
        path.unlink()
    require_pair(msd(task07)[0], 4)


def test_nothing_is_opened_before_it_is_asked_for(task07):
    (task07 / "imagesTr" / "pancreas_004.nii.gz").write_bytes(b"no image")
    case = msd(task07)[0]
    with pytest.raises(Exception, match=r"pancreas_004\.nii\.gz"):
        case.scan.read()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda content: None, r"dataset\.json: no such file"),
        (lambda content: "{", r"dataset\.json: not readable JSON"),
        (lambda content: "[]", "holds no JSON object"),
        (lambda content: content | {"training": []}, "lists no training cases"),
        (lambda content: content | {"labels": ["pancreas"]}, "labels are not like"),
        (lambda content: content | {"training": [7]}, "a training case has no image: 7"),
    ],
)
def test_a_damaged_list_of_msd_is_one_sentence(task07, change, sentence):
    path = task07 / "dataset.json"
    changed = change(json.loads(path.read_text()))
    path.unlink()
    if changed is not None:
        path.write_text(changed if isinstance(changed, str) else json.dumps(changed))
    with pytest.raises(DataError, match=sentence):
        msd(task07)


# ── nnU-Net ──


def write_nnunet(folder, **changes):
    for number in (1, 2):
        hu, labels = pair(number)
        save(folder / "imagesTr" / f"case_{number}_0000.nii.gz", hu)
        save(folder / "labelsTr" / f"case_{number}.nii.gz", labels)
    content = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "pancreas": 1, "tumor": 2},
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(content | changes))
    return folder


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"labels": {"0": "background", "1": "pancreas", "2": "PDAC"}},
        {"channel_names": None, "modality": {"0": "CT"}},
    ],
)
def test_nnunet_s_cases_of_both_versions_are_read(tmp_path, changes):
    one, two = nnunet_raw(write_nnunet(tmp_path / "Dataset007_Pancreas", **changes))
    assert [(case.name, case.source) for case in (one, two)] == [
        ("case_1", "Dataset007_Pancreas"),
        ("case_2", "Dataset007_Pancreas"),
    ]
    require_pair(one, 1)
    require_pair(two, 2)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"channel_names": {"0": "T1"}}, "channel 0 is T1, not CT"),
        ({"labels": {"whole": [1, 2]}}, r"'whole' is a region of the values \[1, 2\]"),
        ({"labels": {"background": 0, "pancreas": float("inf")}}, "its labels are not like"),
        ({"labels": {}}, "names no labels"),
        ({"file_ending": ".mha"}, r"holds no \.mha files"),
    ],
)
def test_what_nnunet_s_json_cannot_mean_is_refused(tmp_path, changes, sentence):
    with pytest.raises(DataError, match=sentence):
        nnunet_raw(write_nnunet(tmp_path, **changes))


def test_an_image_that_nnunet_lacks_is_named(tmp_path):
    folder = write_nnunet(tmp_path)
    (folder / "imagesTr" / "case_2_0000.nii.gz").unlink()
    with pytest.raises(DataError, match=r"case_2_0000\.nii\.gz: a file is missing"):
        require_files(nnunet_raw(folder))


# ── PANORAMA ──


@pytest.fixture
def panorama_folder(tmp_path):
    hu, labels = pair(5)
    values = np.choose(labels, [0, 4, 1]).astype(np.uint8)
    values[0, 0, :4] = (2, 3, 5, 6)
    save(tmp_path / "batch_1" / "100000_00001_0000.nii.gz", hu)
    save(tmp_path / "batch_2" / "100000_00002_0000.nii.gz", hu)
    save(tmp_path / "batch_2" / "100099_00001_0000.nii.gz", hu)
    for name in ("100000_00001", "100000_00002"):
        save(tmp_path / "panorama_labels" / "automatic_labels" / f"{name}.nii.gz", np.zeros_like(values))
    save(tmp_path / "panorama_labels" / "manual_labels" / "100000_00002.nii.gz", values)
    return tmp_path


def test_panorama_pairs_images_with_labels_the_manual_ones_first(panorama_folder):
    first, second = panorama(panorama_folder)
    assert [(case.name, case.patient) for case in (first, second)] == [
        ("100000_00001", "100000"),
        ("100000_00002", "100000"),
    ]
    assert first.scan.label.parent.name == "automatic_labels"
    _, labels = second.scan.read()
    expected = pair(5)[1]
    expected[0, 0, 2] = Label.PANCREAS  # the duct
    assert np.array_equal(labels.voxels, expected)


def test_a_panorama_folder_without_pairs_is_refused(tmp_path):
    save(tmp_path / "batch_1" / "100000_00001_0000.nii.gz", pair(1)[0])
    with pytest.raises(DataError, match="no image CASE_0000"):
        panorama(tmp_path)


# ── names that tools change ──


@pytest.mark.parametrize("image", ["case_1_0000.nii.gz", "Case_1_0000.nii.gz", "case_1.nii.gz", "case_1_0000.nii"])
def test_nnunet_s_images_are_found_however_they_are_spelled(tmp_path, image):
    folder = write_nnunet(tmp_path / "Dataset007_Pancreas")
    nib.save(nib.load(folder / "imagesTr" / "case_1_0000.nii.gz"), tmp_path / image)
    (folder / "imagesTr" / "case_1_0000.nii.gz").unlink()
    (tmp_path / image).rename(folder / "imagesTr" / image)
    save(folder / "imagesTr" / "case_1_0001.nii.gz", pair(9)[0])
    require_pair(nnunet_raw(folder)[0], 1)


def test_msd_s_list_finds_images_that_nnunet_1_renamed(task07):
    for path in (task07 / "imagesTr").glob("p*.nii.gz"):
        path.rename(path.with_name(path.name.replace(".nii.gz", "_0000.nii.gz")))
    four, twelve = msd(task07)
    assert (four.name, twelve.name) == ("pancreas_004", "pancreas_012")
    require_pair(four, 4)
    require_pair(twelve, 12)


def test_msd_s_cases_of_one_file_name_are_told_apart(task07):
    path = task07 / "dataset.json"
    content = json.loads(path.read_text())
    content["training"] = [{"image": f"{p}/ct.nii.gz", "label": f"{p}/seg.nii.gz"} for p in ("p1", "p2")]
    path.write_text(json.dumps(content))
    assert [case.name for case in msd(task07)] == ["p1_ct", "p2_ct"]


@pytest.mark.parametrize("text", ["x" * 5000, "a\a.nii"])
def test_a_path_in_msd_s_list_that_no_file_can_have_is_refused(task07, text):
    path = task07 / "dataset.json"
    content = json.loads(path.read_text())
    content["training"][0]["image"] = text
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="a training case has an impossible image") as raised:
        msd(task07)
    assert len(str(raised.value)) <= 200


def test_a_list_within_lists_without_end_is_refused(task07):
    (task07 / "dataset.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="nested more than 64 deep"):
        msd(task07)


@pytest.mark.parametrize("channel", ["SPECT", "PET/CT", "MR", "nonCT", "contrast", "aspect", "SPECT/CT", 7])
def test_a_channel_that_is_no_ct_is_refused(tmp_path, task07, channel):
    with pytest.raises(DataError, match="not CT"):
        nnunet_raw(write_nnunet(tmp_path / "set", channel_names={"0": channel}))
    path = task07 / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"modality": {"0": channel}}))
    with pytest.raises(DataError, match="not CT"):
        msd(task07)


@pytest.mark.parametrize("channel", ["CT", "ct", "CT_portal", "portal venous CT", "CTA", "CECT", "ContrastCT"])
def test_a_ct_may_be_called_by_its_phase(tmp_path, channel):
    assert len(nnunet_raw(write_nnunet(tmp_path / "set", channel_names={"0": channel}))) == 2


def test_another_organ_s_tumour_is_background_in_training(tmp_path):
    folder = write_nnunet(tmp_path / "set", labels={"background": 0, "pancreas": 1, "liver tumor": 2})
    _, labels = nnunet_raw(folder)[0].scan.read()
    assert np.array_equal(labels.voxels, pair(1)[1] == 1)


def test_a_label_map_that_was_stored_with_a_slope_is_read(task07):
    path = task07 / "labelsTr" / "pancreas_004.nii.gz"
    stored = nib.Nifti1Image(np.asarray(nib.load(path).dataobj).astype(np.int16), AFFINE)
    stored.header.set_slope_inter(1.0000153, 0)
    nib.save(stored, path)
    assert nib.load(path).get_fdata().max() != 2
    require_pair(msd(task07)[0], 4)
