"""NIH Pancreas-CT as TCIA's downloader leaves it, written small."""

import logging
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

# DICOM files are written beside the tests of reading them.
sys.path.insert(0, str(Path(__file__).parents[2] / "imaging" / "io"))

from dicom_writing import ct_slices, save_all

from pancascade.data.readers import nih_pancreas_ct, read_data_set
from pancascade.data.readers.label_flips import ALL_FLIPS, turned
from pancascade.errors import DataError, UnreadableError
from pancascade.labels import Label

LAI = np.diag((-0.7, 0.9, -2.5, 1.0))
"""What the headers of TCIA's label maps say: axes to left, anterior, inferior, and no origin."""


def abdomen():
    """(K, rows, columns) of HU, feet first, and its organ: bright in fat, lopsided in every direction."""
    organ = np.zeros((12, 26, 30), bool)
    organ[2:6, 4:10, 5:14] = True
    organ[2:9, 4:7, 5:9] = True
    noise = np.random.default_rng(0).integers(-15, 15, organ.shape)
    return np.where(organ, 90, -100).astype(np.int16) + noise.astype(np.int16), organ


def write_patient(folder: Path, number: int, *, flips=(False, False, False)) -> np.ndarray:
    """A patient's series and label map; the mask as (I, J, K), axes to left, posterior, superior."""
    hu, organ = abdomen()
    series = folder / "manifest" / "Pancreas-CT" / f"PANCREAS_{number:04d}" / "11-24-2015-PANCREAS-18957" / "CT-63502"
    save_all(ct_slices(hu), series)
    labels = folder / "TCIA_pancreas_labels-02-05-2017"
    labels.mkdir(exist_ok=True)
    scan_lps = organ.transpose(2, 1, 0)
    as_stored = turned(scan_lps[:, ::-1, ::-1], flips).astype(np.uint8)
    nib.save(nib.Nifti1Image(as_stored, LAI), labels / f"label{number:04d}.nii.gz")
    return scan_lps


def test_a_patient_is_a_series_with_its_label_in_place(tmp_path, caplog):
    mask = write_patient(tmp_path, 1)
    (case,) = nih_pancreas_ct(tmp_path)
    assert (case.name, case.patient, case.source) == ("PANCREAS_0001", "PANCREAS_0001", "Pancreas-CT")
    image, labels = case.scan.read()
    assert image.orientation == "LPS"
    assert np.array_equal(labels.voxels == Label.PANCREAS, mask)
    assert np.array_equal(labels.affine, image.affine)
    assert (image.voxels[mask] > 50).all()
    assert (image.voxels[~mask] < 0).all()
    assert not caplog.records


def test_slices_go_from_the_feet_up_with_the_front_on_top(tmp_path):
    write_patient(tmp_path, 1)
    slices = nih_pancreas_ct(tmp_path)[0].read_slices()
    _, organ = abdomen()
    assert [np.array_equal(axial.labels > 0, true) for axial, true in zip(slices, organ, strict=True)] == [True] * 12
    assert slices[0].spacing_mm == pytest.approx((0.9, 0.7))


@pytest.mark.parametrize("flips", [flips for flips in ALL_FLIPS if any(flips)])
def test_a_label_whose_header_lies_is_turned_round_and_the_log_says_so(tmp_path, caplog, flips):
    mask = write_patient(tmp_path, 3, flips=flips)
    with caplog.at_level(logging.WARNING):
        _, labels = nih_pancreas_ct(tmp_path)[0].scan.read()
    assert np.array_equal(labels.voxels > 0, mask)
    (record,) = caplog.records
    assert "label0003.nii.gz: its header is wrong; flipped" in record.getMessage()
    words = ("left and right", "front and back", "head and feet")
    assert [word in record.getMessage() for word in words] == list(flips)


def test_scans_that_repeat_patient_2_are_left_out_or_grouped_with_it(tmp_path, caplog):
    for number in (2, 25, 70, 71):
        write_patient(tmp_path, number)
    kept = nih_pancreas_ct(tmp_path)
    assert [case.name for case in kept] == ["PANCREAS_0002", "PANCREAS_0071"]
    assert "PANCREAS_0025: left out; it repeats the scan of PANCREAS_0002" in caplog.text
    grouped = {case.name: case.patient for case in nih_pancreas_ct(tmp_path, withdrawn="group")}
    assert grouped == {
        "PANCREAS_0002": "PANCREAS_0002",
        "PANCREAS_0025": "PANCREAS_0002",
        "PANCREAS_0070": "PANCREAS_0002",
        "PANCREAS_0071": "PANCREAS_0071",
    }


def test_nothing_is_opened_before_it_is_asked_for(tmp_path):
    write_patient(tmp_path, 1)
    for path in tmp_path.rglob("*.dcm"):
        path.write_bytes(b"no picture")
    assert len(nih_pancreas_ct(tmp_path)) == 1


def test_faults_are_one_sentence(tmp_path):
    with pytest.raises(DataError, match="holds no folders PANCREAS_0001"):
        nih_pancreas_ct(tmp_path)
    write_patient(tmp_path, 1)
    label = next(tmp_path.rglob("label0001.nii.gz"))
    nib.save(nib.Nifti1Image(np.ones((30, 26, 11), np.uint8), LAI), label)
    with pytest.raises(DataError, match=r"label0001\.nii\.gz: has 30 × 26 × 11 voxels, its scan .* 30 × 26 × 12"):
        nih_pancreas_ct(tmp_path)[0].scan.read()
    label.unlink()
    (case,) = nih_pancreas_ct(tmp_path)
    with pytest.raises(UnreadableError, match=r"label0001\.nii\.gz: there is no such file"):
        case.scan.read()


def test_one_patient_s_folder_with_the_label_in_it_is_a_data_set(tmp_path):
    write_patient(tmp_path, 5)
    (patient,) = tmp_path.rglob("PANCREAS_0005")
    next(tmp_path.rglob("label0005.nii.gz")).rename(patient / "label0005.nii.gz")
    (case,) = read_data_set(patient)
    assert (case.patient, case.source) == ("PANCREAS_0005", "Pancreas-CT")
    assert case.scan.read()[1].voxels.any()
