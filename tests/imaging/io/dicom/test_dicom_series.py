import logging
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dicom_writing import IDENTIFIERS, SERIES_UID, STUDY_UID, ct_slices, other_series, picture, save, save_all
from pydicom.misc import warn_and_log
from pydicom.uid import (
    RTDoseStorage,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from pancascade.errors import GeometryError, ScanError, UnreadableError
from pancascade.imaging.io import read_scan, require_ct, write_volume
from pancascade.imaging.io.dicom.dicom_files import quiet
from pancascade.imaging.io.dicom.series import (
    Series,
    choose_series,
    find_series,
    read_dicom_folder,
    read_series,
    series_name,
)
from pancascade.messages.names_only import DICOM_FOLDER
from work_done import calls_of, peak_bytes

CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


def series(**changes: object) -> Series:
    usual = Series(
        uid="1.2.3",
        study_uid="1.2",
        modality="CT",
        number=3,
        description="venous",
        files=(Path("x.dcm"),),
        instance_count=80,
        slice_count=80,
        kind="ct",
        rows=512,
        columns=512,
        thickness_mm=3,
    )
    return replace(usual, **changes)


@pytest.fixture
def patient(tmp_path: Path) -> Path:
    """As TCIA leaves it: a CT among a scout, a coronal reformat, RTSTRUCT, dose, SEG, a picture, and papers."""
    folder = tmp_path / "patient"
    save_all(ct_slices(picture()), folder / "study" / "3.000000-CT", name="1-{:03d}")
    scout = ct_slices(picture(slices=1), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], orientation=CORONAL)
    save_all(scout, folder / "study" / "3.000000-CT", name="scout")
    coronal = ct_slices(picture(slices=9), orientation=CORONAL, SeriesInstanceUID="1.5", SeriesNumber=5)
    save_all(coronal, folder / "coronal", name="{}.IMA")
    mip = ct_slices(picture(slices=8), ImageType=["DERIVED", "SECONDARY", "AXIAL", "MIP"], SeriesInstanceUID="1.6")
    save_all(mip, folder / "mip")
    for number, (kind, modality) in enumerate(
        [
            (RTStructureSetStorage, "RTSTRUCT"),
            (RTDoseStorage, "RTDOSE"),
            (SegmentationStorage, "SEG"),
            (SecondaryCaptureImageStorage, "CT"),
        ]
    ):
        other = other_series(kind, f"1.7.{number}", Modality=modality, SeriesNumber=20 + number, SeriesDescription="x")
        save(other, folder / f"{modality}" / f"{number}.dcm")
    (folder / "LICENSE").write_text("CC BY 4.0")
    (folder / "metadata.csv").write_text("Series UID,Collection\n")
    (folder / "study" / "note.xml").write_text("<a/>")
    (folder / "empty").touch()
    shutil.copy(folder / "study" / "3.000000-CT" / "1-001", folder / "DICOMDIR")
    return folder


def test_every_series_is_found_and_its_kind_named(patient):
    found = {(each.number, each.kind): each for each in find_series(patient)}
    assert {key: each.instance_count for key, each in found.items()} == {
        (3, "ct"): 4,
        (3, "localizer"): 1,
        (3, "derived picture"): 8,
        (5, "coronal or sagittal CT"): 9,
        (20, "RTSTRUCT"): 1,
        (21, "RT dose"): 1,
        (22, "segmentation"): 1,
        (23, "secondary capture"): 1,
    }
    ct = found[(3, "ct")]
    assert (ct.uid, ct.study_uid, ct.modality, ct.description) == (SERIES_UID, STUDY_UID, "CT", "Portal venous 2.5 mm")
    assert (ct.rows, ct.columns, ct.slice_count, ct.thickness_mm) == (7, 5, 4, 2.5)
    assert [file.name for file in ct.files] == ["1-001", "1-002", "1-003", "1-004"]
    assert str(ct) == "series 3 (ct, 4 x 5 x 7)"


def test_the_ct_is_read_from_among_everything_else(patient):
    volume = read_dicom_folder(patient)
    assert volume.source == patient
    assert volume.series == choose_series(find_series(patient)).mark
    assert np.array_equal(volume.voxels.transpose(2, 1, 0), picture())


def test_read_series_names_the_folder_of_the_files(patient):
    ct = choose_series(find_series(patient))
    assert read_series(ct).source == patient / "study" / "3.000000-CT"
    assert read_series(ct).series == ct.mark


def test_an_archive_is_read_like_the_folder_and_leaves_nothing_behind(patient, tmp_path, monkeypatch):
    archive = Path(shutil.make_archive(str(tmp_path / "export"), "zip", patient))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    assert len(find_series(archive)) == len(find_series(patient))
    expected = read_dicom_folder(patient)
    for volume in (read_dicom_folder(archive), read_series(choose_series(find_series(archive)))):
        assert volume.source == archive
        assert np.array_equal(volume.voxels, expected.voxels)
        assert np.array_equal(volume.affine, expected.affine)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_fault_within_an_archive_names_the_archive(tmp_path, monkeypatch):
    files = save_all(ct_slices(picture()), tmp_path / "series")
    files[1].unlink()
    archive = Path(shutil.make_archive(str(tmp_path / "export"), "zip", tmp_path / "series"))
    with pytest.raises(GeometryError, match=r"export\.zip: 1 slice missing"):
        read_dicom_folder(archive)


def test_a_damaged_archive_is_refused(patient, tmp_path):
    archive = Path(shutil.make_archive(str(tmp_path / "export"), "zip", patient))
    content = bytearray(archive.read_bytes())
    content[100:400] = b"\xff" * 300
    archive.write_bytes(content)
    with pytest.raises(UnreadableError, match=r"export\.zip: the archive cannot be unpacked"):
        find_series(archive)


def test_an_archive_with_names_that_are_no_text_is_refused(patient, tmp_path):
    """The name before a file's content is read only when the file is unpacked."""
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, file in enumerate(sorted(p for p in patient.rglob("*") if p.is_file())):
            archive.write(file, f"ä{number}")
    content = path.read_bytes()
    place = content.index("ä0".encode())
    path.write_bytes(content[:place] + b"\xb3\xb3" + content[place + 2 :])
    with pytest.raises(UnreadableError, match=r"export\.zip: the archive cannot be unpacked"):
        find_series(path)


def test_an_archive_larger_than_the_disk_is_refused(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(100_000))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(2, 1, 1))
    with pytest.raises(UnreadableError, match=r"bomb\.zip: the archive does not fit"):
        find_series(tmp_path / "bomb.zip")


def test_one_file_is_a_series_too(patient):
    volume = read_dicom_folder(patient / "study" / "3.000000-CT" / "1-002")
    assert np.array_equal(volume.voxels[:, :, 0].T, picture()[1])


def test_a_path_that_does_not_exist(tmp_path):
    with pytest.raises(UnreadableError, match="there is no such file or folder"):
        find_series(tmp_path / "no")


def test_a_folder_without_dicom_is_said(tmp_path):
    (tmp_path / "x.txt").write_text("hello")
    assert find_series(tmp_path) == []
    with pytest.raises(ScanError, match=f"{DICOM_FOLDER}: There is no DICOM series here"):
        read_dicom_folder(tmp_path)


def test_files_named_like_dicom_that_are_none_are_mentioned(tmp_path, caplog):
    save_all(ct_slices(picture()), tmp_path)
    (tmp_path / "IM0009.dcm").touch()
    assert read_dicom_folder(tmp_path).shape == (5, 7, 4)
    assert "IM0009.dcm: named like DICOM, but it is empty or something else" in caplog.text


def test_a_damaged_header_is_left_out_with_a_warning(tmp_path, caplog):
    files = save_all(ct_slices(picture()), tmp_path)
    files[1].write_bytes(files[1].read_bytes()[:150])
    files[3].write_bytes(files[3].read_bytes()[:160] + b"\xff" * 400)
    with caplog.at_level(logging.WARNING):
        assert find_series(tmp_path)[0].instance_count == 2
    assert "IM0002.dcm: the DICOM header is damaged; left out" in caplog.text
    assert "IM0004.dcm: the DICOM header is damaged; left out" in caplog.text


def test_files_that_vanish_after_the_search_are_said(tmp_path):
    files = save_all(ct_slices(picture()), tmp_path)
    (found,) = find_series(tmp_path)
    files[2].unlink()
    with pytest.raises(UnreadableError, match=r"IM0003\.dcm: there is no such file any more"):
        read_series(found)


def test_most_slices_win_then_the_thinnest_then_the_lowest_number():
    few = series(uid="1", slice_count=40, thickness_mm=1)
    many = series(uid="2", slice_count=90, number=9)
    thin = series(uid="3", slice_count=90, number=9, thickness_mm=1.5)
    first = series(uid="4", slice_count=90, number=2, thickness_mm=1.5)
    for chosen, among in ((few, [few]), (many, [few, many]), (thin, [many, few, thin]), (first, [thin, first, many])):
        assert choose_series(among) is chosen
        assert choose_series(among[::-1]) is chosen


@pytest.mark.parametrize("kind", ["localizer", "derived picture", "secondary capture", "coronal or sagittal CT"])
def test_what_is_no_axial_ct_is_never_chosen(kind):
    ct = series(slice_count=5)
    assert choose_series([series(uid="9", kind=kind, slice_count=500), ct]) is ct


def test_the_choice_among_several_is_logged(caplog):
    choose_series([series(uid="1"), series(uid="2", slice_count=3, description="lung")])
    assert "Of 2 CT series this one is read: series 3 (ct, 80 x 512 x 512)" in caplog.text
    assert "lung" not in caplog.text


@pytest.mark.parametrize("wanted", ["1.9.1", "7", " 7 ", "arterial", "ARTERIAL thin"])
def test_a_series_is_wanted_by_uid_number_or_a_part_of_its_description(wanted):
    arterial = series(uid="1.9.1", number=7, description="Arterial thin", slice_count=2)
    assert choose_series([series(), arterial, series(uid="8", description="17")], wanted=wanted) is arterial


def test_what_was_wanted_is_told_by_number_or_mark_and_never_by_words(patient):
    volume = read_dicom_folder(patient)
    assert series_name(volume, " 3 ") == "3"
    for wanted in ("Portal", SERIES_UID, "9" * 20):
        assert series_name(volume, wanted) == volume.series


def test_a_coronal_series_is_read_when_it_is_wanted(patient):
    volume = read_dicom_folder(patient, wanted="5")
    assert volume.shape == (5, 7, 9)
    assert volume.orientation == "LIP"


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (
            "liver",
            "No series matches --series. See --list-series. There are: series 3 (ct), series 20 (RTSTRUCT).",
        ),
        ("20", "None that --series names is an axial CT. There are: series 20 (RTSTRUCT)."),
    ],
)
def test_a_wrong_wish_lists_what_there_is(wanted, sentence):
    contours = series(uid="9", number=20, description="contours", kind="RTSTRUCT", slice_count=0)
    with pytest.raises(ScanError) as caught:
        choose_series([series(), contours], wanted=wanted)
    assert sentence in str(caught.value)


def test_equal_series_and_several_studies_are_not_guessed_among():
    with pytest.raises(ScanError, match=r"fit equally\. There are: .*series 3 \(ct\)\. Name one by --series"):
        choose_series([series(uid="1"), series(uid="2")])
    baseline, follow_up = series(uid="1"), series(uid="2", study_uid="1.3", slice_count=200)
    with pytest.raises(ScanError, match="CT series of several studies"):
        choose_series([baseline, follow_up])
    assert choose_series([baseline, follow_up], wanted="2") is follow_up


def test_long_lists_are_cut():
    with pytest.raises(ScanError, match=r"and 38 more\."):
        choose_series([series(uid=str(number), kind="MR series") for number in range(40)])


def test_no_message_and_no_log_holds_an_identifier(patient, caplog):
    caplog.set_level(logging.DEBUG)
    texts = []
    for wanted in (None, "nothing", "22", "5"):
        try:
            read_dicom_folder(patient, wanted=wanted)
        except ScanError as error:
            texts.append(str(error))
    damaged = ct_slices(picture())
    damaged[1].PixelSpacing = None
    for path in save_all(damaged, patient.parent / "damaged"):
        # The name where a date should be: pydicom quotes such values in its warnings.
        path.write_bytes(path.read_bytes().replace(b"19500214", b"Doe^Jane"))
    with pytest.raises(GeometryError) as caught:
        read_dicom_folder(patient.parent / "damaged")
    texts += [str(caught.value), caplog.text, repr(find_series(patient.parent))]
    for identifier in IDENTIFIERS.values():
        assert not any(identifier in text for text in texts)


def test_what_pydicom_itself_says_stays_inside(caplog, recwarn):
    with quiet():
        warn_and_log(f"Invalid value for VR DA: {IDENTIFIERS['PatientName']!r}")
    assert caplog.text == ""
    assert not recwarn.list


def test_a_series_written_as_nifti_passes_as_a_ct(tmp_path):
    row, column = np.mgrid[-1:1:64j, -1:1:64j]
    radius = np.hypot(row, column)
    body = np.select([radius < 0.1, radius < 0.6, radius < 0.8], [400, 45, -105], default=-1000)
    hu = np.repeat(body[None], 12, axis=0).astype(np.int16)
    save_all(ct_slices(hu, spacing_mm=(5.5, 5.5)), tmp_path)
    volume = read_dicom_folder(tmp_path)
    assert require_ct(volume) == []
    write_volume(volume, tmp_path / "x.nii.gz")
    assert np.array_equal(read_scan(tmp_path / "x.nii.gz").voxels, volume.voxels)


def test_each_file_costs_the_same_and_its_pixels_are_not_read(tmp_path):
    (image,) = ct_slices(np.zeros((1, 400, 400), np.int16))
    content = save(image, tmp_path / "0").read_bytes()

    def find(files):
        for number in range(files):
            (tmp_path / str(number)).write_bytes(content)
        assert find_series(tmp_path)[0].instance_count == files

    find(1)  # imports what it needs
    one, few, many = (calls_of(lambda n=n: find(n)) for n in (1, 11, 101))
    assert (many - few) / 90 < 1.2 * (few - one) / 10
    assert peak_bytes(lambda: find_series(tmp_path)) / 101 < len(content) / 10


@pytest.mark.parametrize(
    "code",
    [
        # nibabel imports pydicom where it can, so only without it we see our own imports.
        "import sys; sys.modules['pydicom'] = sys.modules['gdcm'] = None; import pancascade.imaging.io.dicom.series",
        "import sys, pancascade.cli.app; sys.exit(sorted({'pydicom', 'gdcm'} & set(sys.modules)) or 0)",
    ],
)
def test_pydicom_and_gdcm_are_imported_only_when_dicom_is_read(code):
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True).stderr == ""
