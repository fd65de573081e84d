import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

import pancascade
from pancascade.files.digests import patient_mark

EXAMPLE = Path(__file__).parents[2] / "examples" / "pancreatic_ct.nii.gz"
TO_MM = (3.0, 3.0, 6.0)


@pytest.fixture(scope="module")
def small_scan() -> pancascade.Volume:
    """The example, coarser: what matters here is the way, not the accuracy."""
    image = nib.load(EXAMPLE)
    given_mm = np.array(image.header.get_zooms()[:3])
    factors = given_mm / TO_MM
    voxels = ndimage.zoom(
        np.asarray(image.dataobj).astype(np.float32), factors, order=1, grid_mode=True, mode="nearest"
    )
    step = np.array(image.shape) / voxels.shape
    affine = image.affine @ np.diag([*step, 1])
    affine[:3, 3] += image.affine[:3, :3] @ ((step - 1) / 2)
    return pancascade.Volume(np.rint(voxels).astype(np.int16), affine)


@pytest.mark.slow
def test_the_shipped_model_goes_through_a_real_scan(small_scan, tmp_path):
    found = pancascade.segment(small_scan)
    assert found.mask.shape == small_scan.shape
    assert np.array_equal(found.mask.affine, small_scan.affine)
    assert set(np.unique(found.mask.voxels)) <= {0, 1, 2}
    total = found.probabilities.astype(np.float32).sum(axis=0)
    assert np.abs(total - 1).max() < 2e-3
    organ_ml = np.count_nonzero(found.mask.voxels) * found.mask.voxel_volume_ml
    assert 5 < organ_ml < 400
    folder = found.save(tmp_path / "out")
    result = json.loads((folder / "result.json").read_text())
    assert result["measurements"]["pancreas_with_tumour"]["volume_ml"] == pytest.approx(organ_ml, abs=0.01)
    learned = {mark for record in result["trained_on"] for mark in record["patients"]}
    assert patient_mark("PANCREAS_0003") in learned
    assert patient_mark("PANCREAS_0001") not in learned
    saved = nib.load(folder / "segmentation.nii.gz")
    assert np.array_equal(np.asarray(saved.dataobj), found.mask.voxels)
    np.testing.assert_allclose(saved.affine, small_scan.affine, atol=1e-4)
    files = ["overview.png", "report.html", "result.json", "segmentation.nii.gz"]
    assert sorted(path.name for path in folder.iterdir()) == files


@pytest.mark.slow
def test_a_turned_scan_gives_the_same_answer(small_scan):
    """With real weights too: everything happens on the upright scan."""
    body = small_scan.voxels[:, :, 6:14]
    scan_lps = pancascade.Volume(body, small_scan.affine)
    backwards = small_scan.affine.copy()
    backwards[:3, 3] += backwards[:3, 2] * (body.shape[2] - 1)
    backwards[:3, 2] *= -1
    turned = pancascade.Volume(body[:, :, ::-1].transpose(2, 0, 1), backwards[:, [2, 0, 1, 3]])
    one, other = pancascade.segment(scan_lps), pancascade.segment(turned)
    assert np.array_equal(other.mask.voxels.transpose(1, 2, 0)[:, :, ::-1], one.mask.voxels)
