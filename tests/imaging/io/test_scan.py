import gzip
import logging
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_writing import ct_slices, save_all

from pancascade.errors import NotCTError, OutputError, ScanError, UnreadableError
from pancascade.files.file_names import READABLE_SUFFIXES
from pancascade.imaging.io import read_scan, read_volume, write_volume
from pancascade.messages.names_only import DICOM_FOLDER


@pytest.fixture
def nifti(ct, tmp_path) -> Path:
    write_volume(ct, tmp_path / "good.nii.gz")
    return tmp_path / "good.nii.gz"


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_the_suffix_chooses_the_format(ct, tmp_path, suffix):
    path = tmp_path / f"scan.v2{suffix}"
    write_volume(ct, str(path), dtype=np.float32)
    back = read_scan(str(path))
    assert np.array_equal(back.voxels, ct.voxels)
    assert back.voxels.dtype == np.float32
    assert back.on_same_grid_as(ct)
    assert back.source == path


def test_capitals_in_the_suffix_are_read(ct, tmp_path):
    for suffix in (".mha", ".nrrd"):
        write_volume(ct, tmp_path / f"x{suffix}")
        capitals = (tmp_path / f"x{suffix}").rename(tmp_path / f"X{suffix.upper()}")
        assert np.array_equal(read_volume(capitals).voxels, ct.voxels)


def test_a_path_that_does_not_exist(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "no.nii.gz", tmp_path / "file" / "no.nii.gz"):
        with pytest.raises(UnreadableError, match=r"no\.nii\.gz: there is no such file\. Check the path"):
            read_volume(path)


def test_a_folder_without_dicom_is_refused(tmp_path):
    with pytest.raises(ScanError, match=f"{DICOM_FOLDER}: There is no DICOM series here"):
        read_volume(tmp_path)


def test_dicom_is_read_from_a_folder_a_zip_archive_and_a_file(tmp_path):
    hu = np.arange(5 * 20 * 24, dtype=np.int16).reshape(5, 20, 24) - 1000
    save_all(ct_slices(hu), tmp_path / "series")
    archive = shutil.make_archive(str(tmp_path / "scan"), "zip", tmp_path / "series")
    expected = hu.transpose(2, 1, 0)
    for path in (tmp_path / "series", Path(archive)):
        found = read_volume(path)
        assert np.array_equal(found.voxels, expected)
        assert found.source == path
    one = min((tmp_path / "series").rglob("*.dcm"))
    assert read_volume(one).shape == (24, 20, 1)


def test_a_series_is_chosen_by_name_and_of_dicom_only(tmp_path):
    hu = np.zeros((4, 20, 24), np.int16)
    for number, description in ((1, "portal"), (2, "native")):
        slices = ct_slices(hu + 10 * number)
        for each in slices:
            each.SeriesInstanceUID, each.SeriesNumber, each.SeriesDescription = f"1.2.{number}", number, description
        save_all(slices, tmp_path / description)
    assert read_volume(tmp_path, series="native").voxels.max() == 20
    with pytest.raises(ScanError, match="No series matches --series"):
        read_volume(tmp_path, series="late")
    path = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(hu, np.eye(4)), path)
    with pytest.raises(UnreadableError, match="not DICOM, so there is no series to choose"):
        read_volume(path, series="native")


@pytest.mark.parametrize("name", ["scan.dcm", "scan.jpg", "IM0001", "scan.gz", "nii"])
def test_an_unknown_suffix_lists_the_known_ones(tmp_path, name):
    (tmp_path / name).write_text("x")
    with pytest.raises(
        UnreadableError, match=f"{name}: unknown kind of file; known are {', '.join(READABLE_SUFFIXES)}"
    ):
        read_volume(tmp_path / name)


@pytest.mark.parametrize("suffix", READABLE_SUFFIXES)
def test_an_empty_file(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    path.touch()
    with pytest.raises(UnreadableError, match=r"the file is empty \(0 bytes\)"):
        read_volume(path)


@pytest.mark.parametrize("content", [b"<html>404</html>" * 100, b"x", b"\0" * 400])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("compress", [True, False])
def test_a_file_that_is_no_image(tmp_path, content, suffix, compress):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(gzip.compress(content) if compress else content)
    with pytest.raises(ScanError, match=r"x\.nii.*: .*(header is damaged|ends too early)"):
        read_volume(path)


@pytest.mark.parametrize("share", [0.002, 0.3, 0.9])
def test_a_truncated_gzip(nifti, share):
    content = nifti.read_bytes()
    nifti.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UnreadableError, match=r"good\.nii\.gz: .*(ends too early|not a NIfTI image)"):
        read_volume(nifti)


def test_a_gzip_with_a_scratch_in_the_middle(nifti):
    content = bytearray(nifti.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = b"\xff" * 200
    nifti.write_bytes(content)
    with pytest.raises(UnreadableError, match="ends too early or is damaged"):
        read_volume(nifti)


@pytest.mark.parametrize("size", [100, 348, 352, 5000])
def test_a_truncated_nifti(nifti, tmp_path, size):
    path = tmp_path / "cut.nii"
    path.write_bytes(gzip.decompress(nifti.read_bytes())[:size])
    with pytest.raises(UnreadableError, match=r"cut\.nii: .*(ends too early|header is damaged)"):
        read_volume(path)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (PermissionError(13, "denied"), "no permission to read"),
        (OSError(5, "Input/output error"), "cannot be opened"),
    ],
)
def test_a_file_the_system_does_not_give(nifti, monkeypatch, error, sentence):
    def refuse(*_args, **_kwargs):
        raise error

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UnreadableError, match=sentence):
        read_volume(nifti)


def test_a_scan_larger_than_memory(nifti, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise MemoryError

    monkeypatch.setattr(nib, "load", refuse)
    with pytest.raises(UnreadableError, match=r"does not fit into memory\. Crop"):
        read_volume(nifti)


def test_paths_the_system_cannot_even_name(tmp_path):
    for path in ("x" * 300 + ".nii", "zero\0byte.nii", "/dev/null"):
        with pytest.raises(UnreadableError, match=r"Check the path|Give an image file"):
            read_volume(path)


def test_read_scan_judges_the_values_and_read_volume_does_not(ct, tmp_path):
    write_volume(ct.with_voxels(ct.voxels > 0), tmp_path / "mask.nii.gz")
    assert read_volume(tmp_path / "mask.nii.gz").voxels.max() == 1
    with pytest.raises(NotCTError, match=r"mask\.nii\.gz: .*labels"):
        read_scan(tmp_path / "mask.nii.gz")


def test_read_scan_logs_what_is_unusual(ct, tmp_path, caplog):
    write_volume(ct.with_voxels(np.maximum(ct.voxels, -200)), tmp_path / "windowed.nii.gz")
    with caplog.at_level(logging.WARNING):
        read_scan(tmp_path / "windowed.nii.gz")
    assert "windowed.nii.gz: nothing below -200 HU" in caplog.text


def test_an_unknown_suffix_is_refused_on_writing(ct, tmp_path):
    with pytest.raises(OutputError, match=r"mask\.png: unknown kind of file to write\. Name it \.nii\.gz"):
        write_volume(ct, tmp_path / "mask.png")


def test_writing_below_a_file_is_refused(ct, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="a part of the path is a file"):
        write_volume(ct, tmp_path / "file" / "mask.nii.gz")
