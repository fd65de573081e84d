"""A mask of the pancreas that was made elsewhere, in place of the model's search for it."""

import nibabel as nib
import numpy as np
import pytest
from abdomen_phantom import LPS_AXES, HounsfieldCascade, OneLook, abdomen, centred, dice, rotation, turned

from pancascade.errors import GeometryError, UnreadableError
from pancascade.imaging.io import read_label_map
from pancascade.imaging.volume import Volume, resample_to_spacing
from pancascade.imaging.volume.digest import volume_digest
from pancascade.inference.pipeline.pancreas_mask import read_pancreas_mask
from pancascade.labels import Label
from pancascade.results.location import Thresholds
from pancascade.results.result import read_result
from pancascade.segmentation import segment
from pancascade.segmentation.thresholding import load_segmentation, with_thresholds

TABLE = (
    '<?xml version="1.0" encoding="UTF-8"?> <CaretExtension> <VolumeInformation Index="0"> <LabelTable>'
    '<Label Key="5" Red="0.5" Green="0.1" Blue="0.9" Alpha="1"><![CDATA[liver]]></Label>'
    '<Label Key="7" Red="0.5" Green="0.1" Blue="0.9" Alpha="1"><![CDATA[pancreas]]></Label>'
    "</LabelTable> </VolumeInformation></CaretExtension>"
)


class Blind(HounsfieldCascade):
    """Would find nothing, if it were asked."""

    def locate(self, images):
        raise AssertionError("the pancreas was given, and yet it was looked for")


@pytest.fixture
def model(make_model):
    """Finds the pancreas in the scan, then the tumour in its region."""
    return make_model(Blind(tumour_hu=None), HounsfieldCascade())


def codes(found) -> list[str]:
    return [notice.code for notice in found.notices]


def written(path, values, affine, *, table: str | None = None):
    image = nib.Nifti1Image(np.asarray(values), affine)
    if table is not None:
        image.header.extensions.append(nib.nifti1.Nifti1Extension(0, table.encode()))
    nib.save(image, path)
    return path


def test_the_organ_stays_voxel_for_voxel_and_the_tumour_in_it_is_found(model):
    scan, truth = abdomen()
    organ = (truth > 0).astype(np.uint8)
    organ[3, 3, 3] = 1  # a piece far away is the reader's business
    found = segment(scan, model=model, pancreas=Volume(organ, scan.affine))
    assert np.array_equal(found.mask.voxels > 0, organ > 0)
    assert dice(found.mask.voxels == Label.TUMOUR, truth == Label.TUMOUR) > 0.8
    assert "pancreas_given" in codes(found)
    assert found.location is None
    assert found.tumour_score > 0.5


def test_a_tumour_that_the_mask_leaves_out_is_found_beside_it(model):
    scan, truth = abdomen()
    found = segment(scan, model=model, pancreas=Volume((truth == Label.PANCREAS).astype(np.uint8), scan.affine))
    assert np.array_equal(found.mask.voxels == Label.PANCREAS, (truth == Label.PANCREAS) & (found.mask.voxels != 2))
    assert dice(found.mask.voxels == Label.TUMOUR, truth == Label.TUMOUR) > 0.8


def test_a_model_of_one_step_gets_the_organ_in_place_of_its_first_stage(make_model):
    scan, truth = abdomen()
    organ = Volume((truth > 0).astype(np.uint8), scan.affine)
    for cascade in (Blind(), OneLook()):
        found = segment(scan, model=make_model(cascade), pancreas=organ)
        assert np.array_equal(found.mask.voxels > 0, truth > 0)
        assert dice(found.mask.voxels == Label.TUMOUR, truth == Label.TUMOUR) > 0.8


def test_a_model_without_tumours_says_that_none_was_looked_for(make_model):
    scan, truth = abdomen()
    found = segment(
        scan, model=make_model(Blind(tumour_hu=None)), pancreas=Volume((truth > 0).astype(np.uint8), scan.affine)
    )
    assert "tumour_not_searched" in codes(found)
    assert np.array_equal(found.mask.voxels, truth > 0)


@pytest.mark.parametrize("axes", ["RAS", "SPL"])
def test_a_mask_whose_axes_are_turned_lies_where_it_lay(model, axes):
    affine = centred(rotation(0, 12) @ LPS_AXES)
    scan, truth = abdomen(affine)
    mask = turned(Volume((truth > 0).astype(np.uint8), affine), axes)
    found = segment(scan, model=model, pancreas=mask)
    assert np.array_equal(found.mask.voxels > 0, truth > 0)
    assert "pancreas_mask_resampled" not in codes(found)


def test_a_mask_of_other_resolution_is_resampled_and_that_is_told(model):
    scan, truth = abdomen()
    fine = resample_to_spacing(Volume((truth > 0).astype(np.uint8), scan.affine), 2.5, order=0)
    found = segment(scan, model=model, pancreas=fine)
    assert dice(found.mask.voxels > 0, truth > 0) > 0.9
    assert "pancreas_mask_resampled" in codes(found)
    assert found.pancreas_mask.resampled


@pytest.mark.parametrize("wrong", ["moved", "cropped", "tilted"])
def test_a_mask_of_another_space_is_refused(model, wrong):
    scan, truth = abdomen()
    affine, organ = scan.affine.copy(), (truth > 0).astype(np.uint8)
    if wrong == "moved":
        affine[:3, 3] += 15
    elif wrong == "tilted":
        affine = centred(rotation(0, 5) @ LPS_AXES)
    else:
        organ = organ[:, :, 2:]
    with pytest.raises(GeometryError, match="does not cover the space") as refusal:
        segment(scan, model=model, pancreas=Volume(organ, affine))
    assert len(str(refusal.value)) <= 200


def test_a_small_mask_is_told(model):
    scan, truth = abdomen()
    few = np.zeros_like(truth)
    few[28:32, 20:24, 9:11] = 1
    found = segment(scan, model=model, pancreas=Volume(few, scan.affine))
    assert "pancreas_mask_volume" in codes(found)
    assert "pancreas_small" not in codes(found)


def test_the_result_knows_the_mask_by_its_digest_and_another_threshold_keeps_it(model, tmp_path):
    scan, truth = abdomen()
    scan_file = written(tmp_path / "scan.nii.gz", scan.voxels, scan.affine)
    mask = written(tmp_path / "Jane_Doe.nii.gz", (truth > 0) * np.uint8(7), scan.affine, table=TABLE)
    segment(scan_file, model=model, pancreas=mask).save(tmp_path / "out", save_probabilities=True)
    record = read_result(tmp_path / "out").pancreas_mask
    assert record.digest == volume_digest(read_label_map(mask))
    assert record.values == (7,)
    assert "Doe" not in (tmp_path / "out" / "result.json").read_text()
    again = with_thresholds(load_segmentation(tmp_path / "out"), Thresholds(organ=0.01, tumour=0.99))
    assert np.array_equal(again.mask.voxels > 0, truth > 0)
    assert again.pancreas_mask == record


def labels_of(shape=(6, 5, 4)) -> np.ndarray:
    values = np.zeros(shape, np.uint8)
    values[1], values[2], values[3] = 5, 7, 1
    return values


def test_a_table_in_the_file_tells_which_label_is_the_pancreas(tmp_path):
    path = written(tmp_path / "total.nii.gz", labels_of(), np.eye(4), table=TABLE)
    assert read_pancreas_mask(path).values == (7,)
    assert read_pancreas_mask(path, labels=["Liver", "1"]).values == (1, 5)


def test_the_dataset_json_of_nnunet_tells_it_too(tmp_path):
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "pancreas": 5, "pancreas tumour": 7, "x": 1}}')
    (tmp_path / "labelsTr").mkdir()
    path = written(tmp_path / "labelsTr" / "case.nii.gz", labels_of(), np.eye(4))
    assert read_pancreas_mask(path).values == (5, 7)


@pytest.mark.parametrize(
    ("values", "labels", "code"),
    [
        (np.zeros((3, 3, 3), np.uint8), (), "pancreas_mask_empty"),
        (labels_of(), (), "pancreas_label"),
        (labels_of(), ("pancreas",), "pancreas_label"),
        (labels_of(), ("0",), "pancreas_label"),
        (labels_of(), ("99",), "pancreas_mask_empty"),
        (np.linspace(0, 1, 60).reshape(5, 4, 3), (), "pancreas_mask_values"),
        (np.full((3, 3, 3), -5, np.int16), (), "pancreas_mask_values"),
        (np.full((3, 3, 3), np.nan), (), "pancreas_mask_values"),
    ],
)
def test_what_tells_no_pancreas_is_refused_in_one_sentence(tmp_path, values, labels, code):
    path = written(tmp_path / "mask.nii.gz", values, np.eye(4))
    with pytest.raises(UnreadableError) as refusal:
        read_pancreas_mask(path, labels=labels)
    assert refusal.value.code == code
    assert len(str(refusal.value)) <= 200
    assert str(tmp_path) not in str(refusal.value)


def test_a_table_without_a_pancreas_is_not_passed_over(tmp_path):
    path = written(
        tmp_path / "liver.nii.gz", (labels_of() == 5) * np.uint8(5), np.eye(4), table=TABLE.replace("7", "8")
    )
    with pytest.raises(UnreadableError):
        read_pancreas_mask(path)
