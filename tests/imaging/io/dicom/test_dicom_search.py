"""Which files of a folder are looked at, and what becomes of those that are damaged."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from dicom_writing import ct_slices, picture, save, save_all
from pydicom.uid import generate_uid

from pancascade.errors import ScanError, UnreadableError
from pancascade.files.digests import content_digest
from pancascade.imaging.io import find_series, find_source, read_volume
from pancascade.imaging.io.dicom.series import read_dicom_folder

MIXED = ["DERIVED", "PRIMARY", "AXIAL", "CT_SOM7 SPR DUAL", "ENERGY_PROP_WT"]


def with_garbled_kind(file: Path, tag: bytes, kind: bytes) -> None:
    """Overwrite the two letters of a value representation in an explicit little-endian file."""
    content = file.read_bytes()
    place = content.index(tag + kind)
    file.write_bytes(content[: place + 4] + b"\x44\xd3" + content[place + 6 :])


def test_a_link_to_a_folder_is_followed_once_whatever_leads_to_it(tmp_path):
    save_all(ct_slices(picture()), tmp_path / "elsewhere")
    folder = tmp_path / "patient"
    folder.mkdir()
    (folder / "series").symlink_to(tmp_path / "elsewhere")
    (folder / "again").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "up").symlink_to(folder)
    volume = read_dicom_folder(folder)
    assert (volume.shape, volume.notices) == ((5, 7, 4), ())
    before = content_digest(folder)
    save_all(ct_slices(picture() + 1), tmp_path / "elsewhere")
    assert content_digest(folder) != before


def test_a_link_to_nothing_is_passed_over(tmp_path):
    save_all(ct_slices(picture()), tmp_path)
    (tmp_path / "gone.dcm").symlink_to(tmp_path / "no such file")
    assert read_dicom_folder(tmp_path).shape == (5, 7, 4)


def test_images_named_like_a_dicomdir_are_read(tmp_path):
    save_all(ct_slices(picture()), tmp_path, name="DICOMDIR_{:03d}")
    assert read_dicom_folder(tmp_path).shape == (5, 7, 4)


@pytest.mark.parametrize("name", ["DICOMDIR", "dicomdir", "contents.dcm"])
def test_a_dicomdir_is_no_image_and_the_folder_is_asked_for(tmp_path, name):
    save_all(ct_slices(picture()), tmp_path)
    uid = b"1.2.840.10008.1.3.10" if name == "contents.dcm" else b""
    (tmp_path / name).write_bytes(b"\0" * 128 + b"DICM\x02\0\x02\0UI\x14\0" + uid)
    volume = read_dicom_folder(tmp_path)
    assert (volume.shape, volume.notices) == ((5, 7, 4), ())
    with pytest.raises(UnreadableError, match=r"table of contents of a DICOM medium\. Give the folder") as caught:
        read_volume(tmp_path / name)
    assert caught.value.code == "dicomdir"


@pytest.mark.parametrize(
    ("tag", "kind"),
    [(b"\x18\0\x50\0", b"DS"), (b"\x28\0\x10\0", b"US"), (b"\x20\0\x32\0", b"DS"), (b"\x08\0\x08\0", b"CS")],
)
@pytest.mark.parametrize("place", [0, 2, 3])
def test_a_garbled_value_representation_is_one_sentence_or_a_warning(tmp_path, tag, kind, place):
    files = save_all(ct_slices(picture()), tmp_path)
    with_garbled_kind(files[place], tag, kind)
    try:
        volume = read_dicom_folder(tmp_path)
    except ScanError as error:
        assert error.code in ("header_damaged", "missing_slices", "not_an_image", "place_missing", "truncated")
    else:
        assert [notice.code for notice in volume.notices] == ["files_left_out"]
        assert volume.shape == (5, 7, 3)


def test_a_value_of_no_use_to_us_may_be_garbled_and_is_not_carried_over(tmp_path):
    files = save_all(ct_slices(picture()), tmp_path)
    with_garbled_kind(files[0], b"\x08\0\x50\0", b"SH")  # AccessionNumber
    assert read_dicom_folder(tmp_path).shape == (5, 7, 4)
    source = find_source(tmp_path)
    assert "AccessionNumber" not in source.datasets[0]
    assert "AccessionNumber" in source.datasets[1]


@pytest.mark.parametrize(
    ("keyword", "code"),
    [
        ("Columns", "not_an_image"),
        ("Rows", "not_an_image"),
        ("NumberOfFrames", "truncated"),
        ("SeriesNumber", None),
        ("SliceThickness", None),
    ],
)
def test_a_number_that_is_none_is_one_sentence_where_it_is_needed(tmp_path, keyword, code):
    slices = ct_slices(picture())
    save_all(slices, tmp_path)
    slices[0].add_new(keyword, "LO", "nan")
    save(slices[0], tmp_path / "IM0001.dcm")
    if code is None:
        assert read_dicom_folder(tmp_path).shape == (5, 7, 4)
    else:
        with pytest.raises(ScanError, match=r"IM0001\.dcm: ") as caught:
            read_dicom_folder(tmp_path)
        assert caught.value.code == code


def test_a_damaged_file_that_was_left_out_is_told_in_the_volume(tmp_path):
    files = save_all(ct_slices(picture()), tmp_path)
    files[3].write_bytes(files[3].read_bytes()[:150])
    (tmp_path / "IM0009.dcm").touch()
    (notice,) = read_dicom_folder(tmp_path).notices
    assert (notice.code, notice.severity, notice.values) == ("files_left_out", "warning", {"files": 2})
    assert "2 damaged DICOM files were left out, the first is IM0009.dcm" in notice.sentence


@pytest.mark.parametrize(
    "change",
    [{"RescaleType": "MGML"}, {"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, {"SOPClassUID": "1.2.3"}],
    ids=["map", "derived", "unknown class"],
)
def test_a_slice_that_its_own_header_makes_another_kind_is_told_in_the_volume(tmp_path, change):
    slices = ct_slices(picture())
    slices[3].update(change)
    save_all(slices, tmp_path)
    volume = read_dicom_folder(tmp_path)
    assert volume.shape == (5, 7, 3)
    (notice,) = volume.notices
    assert (notice.code, notice.values) == ("files_left_out", {"files": 1})
    assert "1 image of the series is no CT by the header and left out, the first is IM0004.dcm" in notice.sentence


def test_a_localizer_in_the_series_is_no_lost_slice(tmp_path):
    slices = ct_slices(picture())
    slices[3].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    save_all(slices, tmp_path)
    assert read_dicom_folder(tmp_path).notices == ()


def test_in_an_archive_the_notices_name_the_archive(tmp_path):
    slices = ct_slices(picture())
    save_all(slices, tmp_path / "series")
    slices[1].SOPInstanceUID = generate_uid()
    save(slices[1], tmp_path / "series" / "copy.dcm")
    archive = Path(shutil.make_archive(str(tmp_path / "export"), "zip", tmp_path / "series"))
    (notice,) = read_volume(archive).notices
    assert notice.sentence.startswith("export.zip: ")


def test_a_mixed_dual_energy_image_is_read_where_it_is_named_and_never_chosen(tmp_path):
    hu = picture()
    save_all(ct_slices(hu, ImageType=MIXED, SeriesInstanceUID="1.7", SeriesNumber=7), tmp_path / "mixed")
    with pytest.raises(ScanError, match=r"mixed dual-energy CT.*Name one by --series"):
        read_dicom_folder(tmp_path)
    for wanted in ("7", "1.7", "portal"):
        assert np.array_equal(read_dicom_folder(tmp_path, wanted=wanted).voxels, hu.transpose(2, 1, 0))
    save_all(ct_slices(picture(slices=3)), tmp_path / "ct")
    assert read_dicom_folder(tmp_path).shape == (5, 7, 3)
    iodine = [*MIXED[:4], "IODINE"]
    save_all(ct_slices(hu, ImageType=iodine, SeriesInstanceUID="1.8", SeriesNumber=8), tmp_path / "iodine")
    with pytest.raises(ScanError, match="None that --series names is an axial CT"):
        read_dicom_folder(tmp_path, wanted="8")


@pytest.mark.shared
def test_the_mixed_image_of_a_real_scanner_is_listed_and_read_by_its_number():
    archive = Path(__file__).resolve().parents[5] / "shared" / "cases" / "18-dual-energy-mixed-image" / "series.zip"
    if not archive.is_file():
        pytest.skip(f"the real series is not at {archive}")
    (series,) = find_series(archive)
    assert (series.number, series.kind, series.slice_count) == (3, "mixed dual-energy CT", 23)
    volume = read_volume(archive, series="3")
    assert volume.shape == (122, 85, 23)
    assert (volume.voxels.min(), volume.voxels.max()) == (-1000, 1184)


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + ".nii.gz", "x" * 5000, "a\0b", "a\0b.nii.gz"])
def test_a_path_that_no_file_system_takes_is_one_short_sentence(name):
    with pytest.raises(UnreadableError) as caught:
        read_volume(name)
    assert len(str(caught.value)) <= 200
    with pytest.raises(UnreadableError, match="there is no such file or folder"):
        find_series(Path(name))
