import shutil

import numpy as np
import pytest
from dicom_writing import ct_slices, other_series, picture, save_all
from pydicom.uid import EnhancedSRStorage

from pancascade.errors import ScanError
from pancascade.imaging.io import read_volume
from pancascade.segmentation.batch.dicom_studies import find_studies, read_study


def study(folder, number: int, *, value: int = 0, slices: int = 4, name: str = "IM{:04d}.dcm", **tags) -> None:
    uids = {"StudyInstanceUID": f"1.2.{number}", "SeriesInstanceUID": f"1.3.{number}.{slices}"}
    save_all(ct_slices(picture(slices=slices) + value, **{**uids, **tags}), folder, name=name)


def places(root) -> list[str]:
    return [scan.path.relative_to(root).as_posix() for scan in find_studies(root)]


def test_the_series_of_a_study_are_one_scan_wherever_their_folders_lie(tmp_path):
    study(tmp_path / "p1" / "thin", 1, slices=6)
    study(tmp_path / "p1" / "thick", 1, slices=3)
    report = other_series(EnhancedSRStorage, "1.3.9", StudyInstanceUID="1.2.1", Modality="SR")
    save_all([report], tmp_path / "p1" / "report")
    study(tmp_path / "p2" / "ct", 2)
    assert places(tmp_path) == ["p1", "p2/ct"]
    assert all(scan.study is None for scan in find_studies(tmp_path))
    assert places(tmp_path / "p1") == ["."]


def test_studies_that_share_a_folder_are_kept_apart(tmp_path):
    study(tmp_path / "all", 1, value=100, name="a{}.dcm")
    study(tmp_path / "all", 2, value=500, name="b{}.dcm")
    found = find_studies(tmp_path)
    assert len(found) == 2
    lowest = set()
    for scan in found:
        volume, uid = read_study(scan.path, scan.study)
        assert volume.shape == (5, 7, 4)
        lowest.add((uid, int(volume.voxels.min())))
    assert lowest == {("1.3.1.4", -900), ("1.3.2.4", -500)}


def test_two_patients_of_one_study_uid_are_two_scans(tmp_path):
    study(tmp_path / "all", 1, PatientID="A", name="a{}.dcm")
    study(tmp_path / "all", 1, PatientID="B", name="b{}.dcm")
    assert len(find_studies(tmp_path)) == 2


def test_the_series_asked_for_is_read(tmp_path):
    study(tmp_path / "all", 1, slices=6, name="a{}.dcm", SeriesDescription="arterial", SeriesNumber=2)
    study(tmp_path / "all", 1, slices=3, name="b{}.dcm", SeriesDescription="portal", SeriesNumber=3)
    study(tmp_path / "all", 2, name="c{}.dcm")
    both = max(find_studies(tmp_path), key=lambda scan: scan.size_bytes)
    shapes = [read_study(both.path, both.study, wanted=wanted)[0].shape for wanted in (None, "portal")]
    assert [shape[2] for shape in shapes] == [6, 3]
    with pytest.raises(ScanError, match="No series matches"):
        read_study(both.path, both.study, wanted="venous")


def test_a_study_in_a_folder_of_its_own_is_read_as_segment_reads_it(tmp_path):
    study(tmp_path / "p" / "ct", 1)
    (scan,) = find_studies(tmp_path)
    assert np.array_equal(read_volume(scan.path).voxels, read_volume(tmp_path / "p").voxels)


def test_a_folder_of_nothing_but_damaged_files_is_not_lost(tmp_path):
    study(tmp_path / "p1", 1)
    (tmp_path / "p2").mkdir()
    (tmp_path / "p2" / "IM1.dcm").write_bytes(b"\0" * 200)
    assert places(tmp_path) == ["p1", "p2"]


def test_results_are_no_studies(tmp_path):
    study(tmp_path / "p1", 1)
    study(tmp_path / "out" / "case-1", 2)
    shutil.copy(next((tmp_path / "p1").iterdir()), tmp_path / "README")  # now the whole root is searched at once
    assert len(find_studies(tmp_path)) == 2
    assert [scan.path.name for scan in find_studies(tmp_path, leave_out=tmp_path / "out")] == [tmp_path.name]
    (tmp_path / "README").unlink()
    assert [scan.path.name for scan in find_studies(tmp_path, leave_out=tmp_path / "out")] == ["p1"]
