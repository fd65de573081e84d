"""`segment --pancreas`: from a mask that was made elsewhere to all that pancascade writes."""

import json

import nibabel as nib
import numpy as np
import pydicom
import pytest
from abdomen_phantom import abdomen
from dicom_writing import ct_slices, save_all

from pancascade.imaging.io import read_volume, write_volume
from pancascade.imaging.volume import reorient


@pytest.fixture
def mask(tmp_path):
    scan, truth = abdomen()
    write_volume(
        scan.with_voxels(np.where(truth > 0, 7, (scan.voxels > 0) * 5).astype(np.uint8)), tmp_path / "m.nii.gz"
    )
    return tmp_path / "m.nii.gz"


def test_the_mask_given_is_the_organ_of_the_result(pancascade, knows_the_phantom, scan, mask, tmp_path):
    code, reported, err = pancascade(
        "segment", scan, "--pancreas", mask, "--pancreas-label", 7, "--out", tmp_path / "out"
    )
    assert (code, err) == (0, "")
    organ = np.asarray(nib.load(tmp_path / "out" / "segmentation.nii.gz").dataobj) > 0
    assert np.array_equal(organ, read_volume(mask).voxels == 7)
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["pancreas_mask"]["values"] == [7]
    assert result["location"] is None
    assert "tumour" in reported
    assert "is the given mask" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["--pancreas", "m.nii.gz"], "Give --pancreas-label"),
        (["--pancreas", "m.nii.gz", "--pancreas-label", "3"], "holds no voxel of 3"),
        (["--pancreas", "none.nii.gz"], "no such file"),
        (["--pancreas-label", "3"], "Give the map with --pancreas"),
        (["--pancreas", "other.nii.gz"], "does not cover the space"),
    ],
)
def test_a_mask_that_cannot_be_used_ends_in_one_sentence(
    pancascade, knows_the_phantom, scan, mask, tmp_path, monkeypatch, options, fault
):
    monkeypatch.chdir(tmp_path)
    write_volume(read_volume(scan).with_voxels(read_volume(mask).voxels == 7), tmp_path / "whole.nii.gz")
    image = nib.load(tmp_path / "whole.nii.gz")
    nib.save(image.slicer[:, :, 3:], tmp_path / "other.nii.gz")
    code, _, err = pancascade("segment", scan, *options, "--out", tmp_path / "out")
    assert code == 2
    assert fault in " ".join(err.split())
    assert len(" ".join(err.split())) <= 210
    assert not (tmp_path / "out" / "result.json").exists()


def test_in_dicom_a_pancreas_that_was_given_is_no_automatic_one(pancascade, knows_the_phantom, scan, mask, tmp_path):
    volume = reorient(read_volume(scan), "LPS")
    save_all(
        ct_slices(
            volume.voxels.transpose(2, 1, 0).astype(np.int16),
            spacing_mm=(volume.spacing_mm[1], volume.spacing_mm[0]),
            origin_mm=volume.affine[:3, 3] * (-1, -1, 1),
            step_mm=(0, 0, volume.spacing_mm[2]),
        ),
        tmp_path / "ct",
    )
    formats = ["--format", "dicom-seg", "--format", "rtstruct"]
    out = tmp_path / "out"
    options = ["--pancreas", mask, "--pancreas-label", 7, *formats, "--out", out]
    assert pancascade("segment", tmp_path / "ct", *options)[0] == 0
    segments = pydicom.dcmread(out / "segmentation.dcm").SegmentSequence
    assert [one.SegmentAlgorithmType for one in segments] == ["SEMIAUTOMATIC", "AUTOMATIC"]
    structures = pydicom.dcmread(out / "rtstruct.dcm").StructureSetROISequence
    assert [one.ROIGenerationAlgorithm for one in structures] == ["SEMIAUTOMATIC", "AUTOMATIC"]
