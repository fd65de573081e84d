"""The node between dcmtk's storescu and a real Orthanc."""

import shutil
import subprocess

import highdicom
import numpy as np
import pytest
from dicom_writing import save_all
from stand_ins import RTSTRUCT, SEG, SR, RunningNode, mask_of, segmented, study

from pancascade.imaging.io import read_volume

pytestmark = [
    pytest.mark.skipif(shutil.which("storescu") is None, reason="storescu (package dcmtk) is not installed"),
    pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (package dicom3tools) is not installed"),
]


@pytest.fixture
def node(tmp_path, orthanc, log):
    running = RunningNode(tmp_path / "queue", orthanc.port, title="ORTHANC", work=segmented)
    yield running
    running.stop()


def storescu(port: int, folder) -> None:
    given = ("-aet", "SCANNER", "-aec", "PANCASCADE", "+sd", "127.0.0.1", str(port), folder)
    subprocess.run(["storescu", *given], check=True, capture_output=True)


def faults(path) -> list[str]:
    said = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    return [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]


def results_of(orthanc, images) -> dict:
    """What Orthanc has of a study, by its class; each once."""
    found = [each for each in orthanc.instances() if each.StudyInstanceUID == images[0].StudyInstanceUID]
    by_class = {each.SOPClassUID: each for each in found}
    assert len(by_class) == len(found)
    return by_class


def require_right(results, images, folder) -> None:
    assert set(results) == {SEG, RTSTRUCT, SR}
    for kind, each in results.items():
        assert each.PatientID == images[0].PatientID
        each.save_as(folder / f"{kind}.dcm", enforce_file_format=True)
        assert faults(folder / f"{kind}.dcm") == []
    pixels = highdicom.seg.segread(folder / f"{SEG}.dcm").get_pixels_by_source_instance(
        [image.SOPInstanceUID for image in images], combine_segments=True, assert_missing_frames_are_empty=True
    )
    assert np.array_equal(pixels, mask_of(read_volume(folder / "scan")).voxels.transpose(2, 1, 0))
    segment = highdicom.sr.srread(folder / f"{SR}.dcm").content.get_volumetric_roi_measurement_groups()[0]
    assert segment.referenced_segment.referenced_sop_instance_uid == results[SEG].SOPInstanceUID


def test_a_study_goes_in_and_segmentation_contours_and_report_come_out_at_it(orthanc, node, log, tmp_path):
    images = study(1)
    save_all(images, tmp_path / "scan")
    storescu(node.port, tmp_path / "scan")
    log.wait_for("the results were sent to ORTHANC")
    require_right(results_of(orthanc, images), images, tmp_path)


def test_while_orthanc_is_down_results_wait_and_then_arrive_once(orthanc, node, log, tmp_path):
    images = study(2)
    save_all(images, tmp_path / "scan")
    orthanc.stop()
    try:
        storescu(node.port, tmp_path / "scan")
        log.wait_for("it cannot be reached; trying again")
    finally:
        orthanc.start()
    log.wait_for("the results were sent to ORTHANC")
    require_right(results_of(orthanc, images), images, tmp_path)
    assert node.left() == []
