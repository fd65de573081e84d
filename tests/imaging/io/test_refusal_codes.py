"""Every way in which a DICOM series can be refused has its own code, through folders and archives."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dicom_writing import ct_slices, lookup_table, picture, save_all

from pancascade.errors import ScanError
from pancascade.imaging.io import read_volume, write_volume
from pancascade.imaging.volume import Volume

Slices = list


def code_of(path: Path, **how: str) -> str:
    with pytest.raises(ScanError) as refused:
        read_volume(path, **how)
    return refused.value.code


def changed(**change: object) -> Callable[[Slices], Slices]:
    def change_second(slices: Slices) -> Slices:
        slices[1].update(change)
        return slices

    return change_second


FAULTS = {
    "missing_slices": lambda slices: [slices[0], *slices[2:]],
    "duplicate_slices": lambda slices: [*slices, ct_slices(picture() + 1)[1]],
    "mixed_sizes": changed(Rows=5, Columns=7),
    "mixed_orientations": changed(ImageOrientationPatient=[1, 0, 0, 0, 0.8, 0.6]),
    "mixed_spacings": changed(PixelSpacing=[0.9, 0.8]),
    "uneven_slices": changed(ImagePositionPatient=[-120.5, -80.25, 42.9]),
    "crooked_stack": changed(ImagePositionPatient=[-120.5, -90.25, 42.5]),
    "gantry_tilt": lambda _: ct_slices(picture(), step_mm=(0, 1, 2.5)),
    "place_missing": changed(PixelSpacing=None),
    "spacing_impossible": changed(PixelSpacing=[0.9, 0]),
    "directions_impossible": lambda _: ct_slices(picture(), ImageOrientationPatient=[1, 0, 0, 0, 2, 0]),
    "rescale_impossible": changed(RescaleSlope=0),
    "rescale_missing": changed(RescaleIntercept=None),
    "modality_lut": lambda _: ct_slices(picture(), ModalityLUTSequence=[lookup_table()]),
    "no_ct_series": lambda _: ct_slices(picture(), SOPClassUID="1.2.840.10008.5.1.4.1.1.4", Modality="MR"),
}


@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
def test_a_rescale_that_no_integer_holds_is_refused(tmp_path, keyword):
    save_all(changed(**{keyword: "1e40"})(ct_slices(picture())), tmp_path / "series")
    assert code_of(tmp_path / "series") == "rescale_impossible"


@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
def test_two_values_of_a_rescale_are_none(tmp_path, keyword):
    save_all(changed(**{keyword: [1, 1]})(ct_slices(picture())), tmp_path / "series")
    assert code_of(tmp_path / "series") == "rescale_missing"


@pytest.mark.parametrize("code", FAULTS)
@pytest.mark.parametrize("zipped", [False, True])
def test_each_fault_of_a_series_has_its_code(tmp_path, code, zipped):
    save_all(FAULTS[code](ct_slices(picture())), tmp_path / "series")
    path = tmp_path / "series"
    if zipped:
        path = Path(shutil.make_archive(str(tmp_path / "export"), "zip", path))
    assert code_of(path) == code


def test_each_fault_of_a_choice_has_its_code(tmp_path):
    (tmp_path / "none").mkdir()
    assert code_of(tmp_path / "none") == "no_series"
    for uid in ("1.2.1", "1.2.2"):
        slices = ct_slices(picture())
        for each in slices:
            each.SeriesInstanceUID = uid
        save_all(slices, tmp_path / "two" / uid)
    assert code_of(tmp_path / "two", series="late") == "no_such_series"
    assert code_of(tmp_path / "two") == "several_series"


def test_each_fault_of_a_file_has_its_code(tmp_path):
    whole = tmp_path / "whole.nii"
    write_volume(Volume(picture(), np.eye(4)), whole)
    assert code_of(tmp_path / "no.nii.gz") == "no_such_file"
    for name, content, code in (
        ("empty.nii", b"", "empty_file"),
        ("text.nii", b"x" * 400, "not_an_image"),
        ("scan.xyz", b"x", "unknown_format"),
        ("half.nii", whole.read_bytes()[:-9], "truncated"),
    ):
        (tmp_path / name).write_bytes(content)
        assert code_of(tmp_path / name) == code


def test_a_slice_of_another_patient_is_none_of_the_series_whatever_its_uid_says(tmp_path):
    slices = ct_slices(picture(slices=5))
    slices[2].PatientID = "another"
    save_all(slices, tmp_path / "series")
    assert code_of(tmp_path / "series") == "missing_slices"
