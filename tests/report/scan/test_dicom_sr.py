"""The measurement report, read back by highdicom and judged by dciodvfy."""

import shutil
import subprocess

import highdicom
import numpy as np
import pydicom
import pytest
from dicom_phantoms import STUDY, scan_and_mask
from dicom_writing import IDENTIFIERS

from pancascade.errors import OutputError
from pancascade.imaging.io import find_source, write_dicom_seg
from pancascade.report.scan.dicom_sr import write_dicom_sr
from pancascade.results.measurements import Measurements, axial_diameters, measure_scan

needs_validator = pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")


def two_lesions(mask):
    """A pancreas with a large lesion below and a small one above."""
    voxels = np.zeros(mask.shape, np.uint8)
    voxels[:, 1:7, :] = 1
    voxels[1:3, 2:5, 0:2], voxels[3:5, 3:5, 4] = 2, 2
    return mask.with_voxels(voxels)


def written(folder, name="axial", change=two_lesions):
    """The report and the segmentation of a mask on a series of a kind, with what was measured."""
    path, scan, mask = scan_and_mask(name, folder / "series")
    mask, source = change(mask), find_source(path, series="3")
    seg, report, measured = folder / "seg.dcm", folder / "sr.dcm", measure_scan(mask, scan=scan)
    about = {"source": source, "model": "qiu2024-small", "version": "0.1.0"}
    write_dicom_seg(mask, seg, **about)
    write_dicom_sr(measured, report, mask=mask, segmentation=seg, **about)
    return highdicom.sr.srread(report), pydicom.dcmread(seg), measured, mask


def groups_of(report):
    return {group.tracking_identifier: group for group in report.content.get_volumetric_roi_measurement_groups()}


def values(group):
    return {each.name.meaning: (each.value, each.unit.value) for each in group.get_measurements()}


def test_each_lesion_has_its_sizes_place_and_segment(tmp_path):
    report, seg, measured, _ = written(tmp_path)
    groups = groups_of(report)
    assert list(groups) == ["Pancreas", "Lesion 1, image 1", "Lesion 2, image 5"]
    for name, lesion in zip(list(groups)[1:], measured.lesions, strict=True):
        assert values(groups[name]) == {
            "Volume": (pytest.approx(lesion.volume_ml, abs=1e-3), "mL"),
            "Long axis": (pytest.approx(lesion.diameters.long_mm, abs=1e-3), "mm"),
            "Short axis": (pytest.approx(lesion.diameters.short_mm, abs=1e-3), "mm"),
            "Maximum 3D Diameter of a Mesh": (pytest.approx(lesion.diameter_3d_mm, abs=1e-3), "mm"),
            "Attenuation Coefficient": (pytest.approx(lesion.mean_hu, abs=1e-3), "[hnsf'U]"),
        }
        segment = groups[name].referenced_segment
        assert segment.referenced_sop_instance_uid == seg.SOPInstanceUID
        assert segment.referenced_segment_numbers == [2]
        assert groups[name].finding_type.value == "108369006"
        assert groups[name].finding_sites[0].value.value in ("15776009", "64163001", "40133006", "73239005")
    assert len({group.tracking_uid for group in groups.values()}) == 3


def test_the_pancreas_is_its_segment_and_the_whole_organ_a_group_of_its_own(tmp_path):
    report, seg, measured, mask = written(tmp_path)
    pancreas = groups_of(report)["Pancreas"]
    assert pancreas.referenced_segment.referenced_segment_numbers == [1]
    assert pancreas.referenced_segment.referenced_sop_instance_uid == seg.SOPInstanceUID
    assert values(pancreas)["Volume"][0] == pytest.approx(measured.organ.parenchyma_ml, abs=1e-3)
    (organ,) = report.content.get_image_measurement_groups()
    diameters = axial_diameters(mask.with_voxels(mask.voxels > 0))
    assert values(organ)["Volume"][0] == pytest.approx(measured.organ.volume_ml, abs=1e-3)
    assert values(organ)["Long axis"][0] == pytest.approx(diameters.long_mm, abs=1e-3)
    assert values(organ)["Short axis"][0] == pytest.approx(diameters.short_mm, abs=1e-3)


def test_without_a_lesion_the_pancreas_has_all_sizes_in_one_group(tmp_path):
    report, _, measured, _ = written(tmp_path, change=lambda mask: mask.with_voxels((mask.voxels > 0).astype(np.uint8)))
    (pancreas,) = groups_of(report).values()
    assert values(pancreas)["Volume"][0] == pytest.approx(measured.organ.volume_ml, abs=1e-3)
    assert "Long axis" in values(pancreas)
    assert report.content.get_image_measurement_groups() == []


def test_nothing_found_is_a_volume_of_zero(tmp_path):
    report, _, measured, _ = written(tmp_path, change=lambda mask: mask.with_voxels(mask.voxels * 0))
    assert measured == Measurements()
    (pancreas,) = groups_of(report).values()
    assert values(pancreas) == {"Volume": (0, "mL")}


def test_it_belongs_to_patient_and_study_and_is_preliminary(tmp_path):
    report, seg, _, _ = written(tmp_path)
    for keyword, value in {**IDENTIFIERS, **STUDY}.items():
        if keyword in ("PatientName", "PatientID", "StudyID", "AccessionNumber", "PatientBirthDate"):
            assert str(report.get(keyword)) == value, keyword
    assert report.StudyInstanceUID == seg.StudyInstanceUID
    assert report.SeriesInstanceUID != seg.SeriesInstanceUID
    assert "research use only" in report.SeriesDescription
    assert (report.PreliminaryFlag, report.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert seg.SOPInstanceUID in {
        item.ReferencedSOPInstanceUID for each in evidence for item in each.ReferencedSOPSequence
    }


@needs_validator
@pytest.mark.oracle
@pytest.mark.parametrize("name", ["axial", "oblique", "sagittal", "enhanced"])
def test_dciodvfy_finds_no_error(name, tmp_path):
    for part, factor in (("both", 1), ("nothing", 0)):
        (tmp_path / part).mkdir()
        written(tmp_path / part, name, lambda mask, by=factor: mask.with_voxels(mask.voxels * np.uint8(by)))
        said = subprocess.run(["dciodvfy", tmp_path / part / "sr.dcm"], capture_output=True, text=True, check=False)
        assert [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")] == []


def test_a_scan_that_is_no_dicom_has_no_report(ct_file, tmp_path):
    with pytest.raises(OutputError, match="must refer to a DICOM series"):
        find = type("Source", (), {"path": ct_file})
        write_dicom_sr(
            Measurements(), tmp_path / "sr.dcm", mask=None, segmentation=None, source=find, model="m", version="1"
        )
    assert not (tmp_path / "sr.dcm").exists()


@pytest.fixture
def ct_file(tmp_path):
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(b"no dicom")
    return path
