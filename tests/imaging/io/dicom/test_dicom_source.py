import shutil

import numpy as np
import pytest
from dicom_phantoms import SERIES, STUDY, scan_and_mask
from dicom_writing import ct_slices, picture, save_all

from pancascade.errors import GeometryError, OutputError, ScanError
from pancascade.imaging.io import find_source, require_source, write_nifti
from pancascade.imaging.io.dicom.source import require_references, slices_of
from pancascade.imaging.volume import Volume, reorient


@pytest.mark.parametrize("name", SERIES)
def test_each_slice_of_the_volume_has_its_image(name, tmp_path):
    path, scan, _ = scan_and_mask(name, tmp_path / "series")
    source = find_source(path, series="3")
    assert source.grid.on_same_grid_as(scan, tolerance_mm=0)
    assert len(source.datasets) == len(source.frames) == scan.shape[2]
    for place, frame in enumerate(source.frames):
        assert np.allclose(scan.affine[:3] @ (0, 0, place, 1), np.multiply(frame.position_mm, (-1, -1, 1)), atol=1e-4)
        assert "PixelData" not in source.datasets[place]
        if "ImagePositionPatient" in source.datasets[place]:
            assert np.allclose(source.datasets[place].ImagePositionPatient, frame.position_mm)


def test_the_series_is_chosen_by_the_reader_s_rule(tmp_path):
    save_all(ct_slices(picture(slices=3), SeriesInstanceUID="1.2.3", SeriesNumber=8), tmp_path / "few")
    save_all(ct_slices(picture(slices=5), SeriesInstanceUID="1.2.4", SeriesNumber=9), tmp_path / "many")
    assert find_source(tmp_path).datasets[0].SeriesNumber == 9
    assert find_source(tmp_path, series="8").datasets[0].SeriesNumber == 8
    with pytest.raises(ScanError, match="No series matches --series"):
        find_source(tmp_path, series="7")


def test_images_come_once_and_frames_are_numbered_as_in_their_file(tmp_path):
    plain = find_source(SERIES["axial"](tmp_path / "plain"))
    assert len(list(plain.images())) == 6
    assert [plain.number_in(place) for place in range(6)] == [None] * 6
    backwards = find_source(SERIES["enhanced, frames backwards"](tmp_path / "enhanced"))
    assert len(list(backwards.images())) == 1
    assert [backwards.number_in(place) for place in range(6)] == [6, 5, 4, 3, 2, 1]


def test_a_grid_takes_no_memory(tmp_path):
    assert find_source(SERIES["axial"](tmp_path)).grid.voxels.strides == (0, 0, 0)


def test_a_scan_that_is_no_dicom_is_refused_before_work(tmp_path, ct):
    scan = tmp_path / "scan.nii.gz"
    write_nifti(ct, scan)
    with pytest.raises(OutputError, match=r"scan\.nii\.gz: DICOM-SEG, RTSTRUCT and SR must refer to a DICOM series"):
        require_source(scan)
    require_source(tmp_path / "no such file.nii.gz")
    require_source(SERIES["axial"](tmp_path / "series"))
    require_source(shutil.make_archive(str(tmp_path / "study"), "zip", tmp_path / "series"))


def test_a_missing_highdicom_names_the_extra_and_rtstruct_does_without(tmp_path, monkeypatch):
    folder = SERIES["axial"](tmp_path)
    monkeypatch.setattr("pancascade.imaging.io.dicom.source.find_spec", lambda _: None)
    with pytest.raises(OutputError, match=r'pip install "pancascade\[dicom\]"'):
        require_source(folder)
    require_source(folder, kind="rtstruct")


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"])
def test_images_without_a_uid_cannot_be_referred_to(tmp_path, keyword):
    source = find_source(SERIES["axial"](tmp_path))
    for dataset in source.datasets:
        dataset[keyword].value = ""
    with pytest.raises(OutputError, match=f"{keyword} is missing"):
        require_references(source)


def test_images_of_the_same_uid_cannot_be_told_apart(tmp_path):
    save_all(ct_slices(picture(), SOPInstanceUID="1.2.3", **STUDY), tmp_path)
    with pytest.raises(OutputError, match="several images have the same SOPInstanceUID"):
        require_references(find_source(tmp_path))


def test_a_mask_is_turned_back_to_the_slices_of_its_source(tmp_path):
    path, _, mask = scan_and_mask("oblique", tmp_path)
    source = find_source(path)
    expected = mask.voxels.transpose(2, 1, 0)
    for codes in ("RAS", "LPI", "SAL"):
        assert np.array_equal(slices_of(reorient(mask, codes), source=source), expected)


def test_a_mask_on_another_grid_is_refused(tmp_path):
    path, _, mask = scan_and_mask("axial", tmp_path)
    moved = mask.affine.copy()
    moved[2, 3] += 1
    with pytest.raises(GeometryError, match="Resample it onto the grid"):
        slices_of(Volume(mask.voxels, moved), source=find_source(path))


@pytest.mark.parametrize("factor", [7, -1, 0.5])
def test_a_value_that_is_no_label_is_not_lost_in_silence(tmp_path, factor):
    path, _, mask = scan_and_mask("axial", tmp_path)
    with pytest.raises(ValueError, match="are not all labels"):
        slices_of(
            mask.with_voxels(mask.voxels.astype(np.float32 if factor == 0.5 else np.int16) * factor),
            source=find_source(path),
        )
