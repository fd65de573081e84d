"""Thresholds changed afterwards."""

import nibabel as nib
import numpy as np
import pytest
from abdomen_phantom import LPS_AXES, HounsfieldCascade, abdomen, centred, rotation, turned

from pancascade.errors import GeometryError, UnreadableError
from pancascade.imaging.io import write_volume
from pancascade.results.location import Thresholds
from pancascade.segmentation import segment
from pancascade.segmentation.thresholding import load_segmentation, with_thresholds


class Graded(HounsfieldCascade):
    """Probabilities that rise slowly, so that thresholds matter."""

    def above(self, images, hu):
        return super().above(images, hu) ** 0.2


@pytest.fixture
def saved(make_model, tmp_path):
    scan, _ = abdomen(centred(rotation(0, 11) @ LPS_AXES))
    write_volume(turned(scan, "SRA"), tmp_path / "scan.nii.gz")
    found = segment(tmp_path / "scan.nii.gz", model=make_model(Graded()))
    found.save(tmp_path / "out", save_probabilities=True)
    return found, tmp_path / "out"


def test_the_same_thresholds_give_the_same_mask_voxel_for_voxel(saved):
    found, folder = saved
    again = load_segmentation(folder)
    assert again.region is not None
    same = with_thresholds(again, found.thresholds)
    assert found.mask.voxels.any()
    assert np.array_equal(same.mask.voxels, found.mask.voxels)
    assert [notice.code for notice in same.notices] == [notice.code for notice in found.notices]


def test_a_lower_threshold_marks_more_and_a_higher_one_less(saved):
    _, folder = saved
    again = load_segmentation(folder)
    marked = [
        int((with_thresholds(again, Thresholds(organ=organ, tumour=0.5)).mask.voxels > 0).sum())
        for organ in (0.2, 0.5, 0.9)
    ]
    assert marked[0] > marked[1] > marked[2]
    tumours = [
        int((with_thresholds(again, Thresholds(tumour=tumour)).mask.voxels == 2).sum()) for tumour in (0.05, 0.5, 0.97)
    ]
    assert tumours[0] > tumours[1] > tumours[2]


def test_the_scan_may_have_moved(saved, tmp_path):
    found, folder = saved
    (tmp_path / "scan.nii.gz").rename(tmp_path / "moved.nii.gz")
    with pytest.raises(UnreadableError, match="no such file"):
        load_segmentation(folder)
    again = load_segmentation(folder, scan=tmp_path / "moved.nii.gz")
    assert np.array_equal(with_thresholds(again, found.thresholds).mask.voxels, found.mask.voxels)


def test_another_scan_is_refused(saved, tmp_path):
    _, folder = saved
    other, _ = abdomen()
    write_volume(other, tmp_path / "other.nii.gz")
    with pytest.raises(GeometryError, match="not on the grid"):
        load_segmentation(folder, scan=tmp_path / "other.nii.gz")


def test_a_result_without_probabilities_is_refused_with_what_to_do(saved):
    _, folder = saved
    (folder / "probability_tumour.nii.gz").unlink()
    with pytest.raises(UnreadableError, match=r"no probability_tumour.*--save-probabilities"):
        load_segmentation(folder)


def test_saved_again_the_result_holds_the_new_mask_and_thresholds(saved):
    _, folder = saved
    new = with_thresholds(load_segmentation(folder), Thresholds(organ=0.3, tumour=0.2))
    new.save(folder, save_probabilities=True)
    assert load_segmentation(folder).thresholds == Thresholds(organ=0.3, tumour=0.2)
    mask = np.asarray(nib.load(folder / "segmentation.nii.gz").dataobj)
    assert np.array_equal(mask, new.mask.voxels)
