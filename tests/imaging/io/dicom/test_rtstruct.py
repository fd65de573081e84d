import numpy as np
import pydicom
import pytest
from dicom_phantoms import PICTURE, SERIES, STUDY, lopsided, scan_and_mask
from dicom_writing import IDENTIFIERS, ct_slices, save_all
from matplotlib.path import Path as Outline

from pancascade.errors import GeometryError, OutputError, ScanError
from pancascade.imaging.io import find_source, read_volume, write_rtstruct
from pancascade.imaging.volume import Volume
from pancascade.labels import COLOURS, Label


def written(mask, path, scan_path):
    write_rtstruct(mask, path, source=find_source(scan_path, series="3"), model="qiu2024-small", version="0.1.0")
    return pydicom.dcmread(path)


def structures(dataset):
    """Each structure by its name, and its contours' points, (n, 3) in mm, LPS+."""
    names = {each.ROINumber: each.ROIName for each in dataset.StructureSetROISequence}
    return {
        names[each.ReferencedROINumber]: [
            np.reshape(contour.ContourData, (-1, 3)).astype(float) for contour in each.get("ContourSequence", [])
        ]
        for each in dataset.ROIContourSequence
    }


def voxels_inside(contours, grid):
    """The voxels whose centre is inside a contour, through nothing but the volume's own affine."""
    inside = np.zeros(grid.shape, int)
    i, j = (index.ravel() for index in np.indices(grid.shape[:2]))
    for points_mm in contours:
        ras = np.c_[points_mm * (-1, -1, 1), np.ones(len(points_mm))]
        index = np.linalg.solve(grid.affine, ras.T)[:3].T
        place = round(index[:, 2].mean())
        assert np.abs(index[:, 2] - place).max() < 1e-3
        closed = np.concatenate([index, index[:1]])[:, :2]
        inside[:, :, place] += Outline(closed, closed=True).contains_points(np.c_[i, j]).reshape(grid.shape[:2])
    return inside


@pytest.mark.parametrize("name", SERIES)
def test_every_voxel_is_inside_exactly_where_it_was(name, tmp_path):
    path, scan, mask = scan_and_mask(name, tmp_path / "series")
    found = structures(written(mask, tmp_path / "contours.dcm", path))
    assert np.array_equal(voxels_inside(found["Pancreas"], scan), mask.voxels > 0)
    assert np.array_equal(voxels_inside(found["Pancreas tumour"], scan), mask.voxels == 2)


@pytest.mark.parametrize(
    "name", ["axial", "sorted the other way", "archive", "enhanced, frames backwards", "a slice twice"]
)
def test_each_contour_refers_to_the_image_it_lies_on(name, tmp_path):
    path, _, mask = scan_and_mask(name, tmp_path / "series")
    source = find_source(path)
    dataset = written(mask, tmp_path / "contours.dcm", path)
    places = {(each.SOPInstanceUID, source.number_in(place)): place for place, each in enumerate(source.datasets)}
    seen = set()
    for contour in dataset.ROIContourSequence[0].ContourSequence:
        (image,) = contour.ContourImageSequence
        place = places[(image.ReferencedSOPInstanceUID, image.get("ReferencedFrameNumber"))]
        first = np.array(contour.ContourData[:3], dtype=float)
        normal = np.cross(*np.reshape(source.frames[place].orientation, (2, 3)))
        assert abs(normal @ (first - source.frames[place].position_mm)) < 1e-3
        seen.add(place)
    assert seen == {0, 2, 3, 4, 5}
    (frame_of_reference,) = dataset.ReferencedFrameOfReferenceSequence
    (study,) = frame_of_reference.RTReferencedStudySequence
    (series,) = study.RTReferencedSeriesSequence
    assert study.ReferencedSOPInstanceUID == source.datasets[0].StudyInstanceUID
    assert series.SeriesInstanceUID == source.datasets[0].SeriesInstanceUID
    listed = [each.ReferencedSOPInstanceUID for each in series.ContourImageSequence]
    assert listed == [each.SOPInstanceUID for each in source.images()]


def test_the_organ_is_drawn_with_its_tumour_and_the_tumour_once_more(tmp_path):
    path, _, mask = scan_and_mask("axial", tmp_path / "series")
    dataset = written(mask, tmp_path / "contours.dcm", path)
    kinds = {each.ReferencedROINumber: each.RTROIInterpretedType for each in dataset.RTROIObservationsSequence}
    assert kinds == {1: "ORGAN", 2: "GTV"}
    assert [each.ROIName for each in dataset.StructureSetROISequence] == ["Pancreas", "Pancreas tumour"]
    assert {each.ROIGenerationAlgorithm for each in dataset.StructureSetROISequence} == {"AUTOMATIC"}
    for each, label in zip(dataset.ROIContourSequence, (Label.PANCREAS, Label.TUMOUR), strict=True):
        assert list(each.ROIDisplayColor) == list(bytes.fromhex(COLOURS[label][1:]))
        assert {contour.ContourGeometricType for contour in each.ContourSequence} == {"CLOSED_PLANAR"}
        assert all(3 * contour.NumberOfContourPoints == len(contour.ContourData) for contour in each.ContourSequence)
    codes = [each.RTROIIdentificationCodeSequence[0].CodeValue for each in dataset.RTROIObservationsSequence]
    assert codes == ["15776009", "108369006"]
    assert "qiu2024-small" in dataset.StructureSetDescription
    assert "research use only" in dataset.StructureSetDescription
    assert "research use only" in dataset.SeriesDescription
    assert dataset.ApprovalStatus == "UNAPPROVED"


def test_patient_study_and_frame_of_reference_are_carried_over(tmp_path):
    path, _, mask = scan_and_mask("axial", tmp_path / "series")
    dataset = written(mask, tmp_path / "contours.dcm", path)
    for keyword, value in {**IDENTIFIERS, **STUDY}.items():
        if keyword != "InstitutionName":
            assert str(dataset.get(keyword)) == value, keyword
    assert dataset.SeriesInstanceUID != find_source(path).datasets[0].SeriesInstanceUID
    uids = {each.ReferencedFrameOfReferenceUID for each in dataset.StructureSetROISequence}
    uids |= {each.FrameOfReferenceUID for each in dataset.ReferencedFrameOfReferenceSequence}
    assert uids == {STUDY["FrameOfReferenceUID"]}


def test_without_a_tumour_there_is_no_structure_of_it(tmp_path):
    path, scan, mask = scan_and_mask("axial", tmp_path / "series")
    found = structures(written(mask.with_voxels(mask.voxels == 1), tmp_path / "contours.dcm", path))
    assert set(found) == {"Pancreas"}
    assert np.array_equal(voxels_inside(found["Pancreas"], scan), mask.voxels == 1)


def test_a_tumour_alone_is_drawn_in_both(tmp_path):
    path, scan, mask = scan_and_mask("axial", tmp_path / "series")
    lonely = mask.with_voxels(np.where(mask.voxels == 2, 2, 0).astype(np.uint8))
    found = structures(written(lonely, tmp_path / "contours.dcm", path))
    for contours in found.values():
        assert np.array_equal(voxels_inside(contours, scan), mask.voxels == 2)


def test_nothing_found_is_a_pancreas_without_contours(tmp_path):
    path, _, mask = scan_and_mask("axial", tmp_path / "series")
    dataset = written(mask.with_voxels(np.zeros(mask.shape, np.uint8)), tmp_path / "contours.dcm", path)
    assert structures(dataset) == {"Pancreas": []}


def test_a_contour_longer_than_64_kib_is_written(tmp_path):
    save_all(ct_slices(np.zeros((2, 1600, 8), np.int16), **STUDY), tmp_path / "series")
    scan = read_volume(tmp_path / "series")
    comb = np.zeros(scan.shape, np.uint8)
    comb[0, :, 0], comb[:, ::2, 0] = 1, 1
    found = structures(written(scan.with_voxels(comb), tmp_path / "contours.dcm", tmp_path / "series"))
    assert max(map(len, found["Pancreas"])) * 3 * 8 > 65536
    assert np.array_equal(voxels_inside(found["Pancreas"], scan), comb)


def test_names_beyond_ascii_come_back(tmp_path):
    greek = {"SpecificCharacterSet": "ISO_IR 126", "PatientName": "Διονυσιος^Ιωάννης"}
    save_all(ct_slices(PICTURE, **{**STUDY, **greek}), tmp_path / "series")
    scan = read_volume(tmp_path / "series")
    dataset = written(scan.with_voxels(lopsided(scan.shape)), tmp_path / "contours.dcm", tmp_path / "series")
    assert dataset.SpecificCharacterSet == "ISO_IR 192"
    assert str(dataset.PatientName) == greek["PatientName"]


def test_a_series_without_frame_of_reference_gets_one(tmp_path, caplog):
    save_all(ct_slices(PICTURE), tmp_path / "series")
    scan = read_volume(tmp_path / "series")
    dataset = written(scan.with_voxels(lopsided(scan.shape)), tmp_path / "contours.dcm", tmp_path / "series")
    assert dataset.FrameOfReferenceUID.is_valid
    assert "FrameOfReferenceUID is missing" in caplog.text


def test_what_cannot_be_written_is_said_and_leaves_nothing(tmp_path):
    path, _, mask = scan_and_mask("axial", tmp_path / "series")
    moved = mask.affine.copy()
    moved[0, 3] += 1
    with pytest.raises(GeometryError):
        written(Volume(mask.voxels, moved), tmp_path / "contours.dcm", path)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="a part of the path is a file"):
        written(mask, tmp_path / "file" / "contours.dcm", path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "series"]


def test_contours_given_as_scan_are_said_to_be_no_ct(tmp_path):
    path, _, mask = scan_and_mask("axial", tmp_path / "series")
    written(mask, tmp_path / "contours.dcm", path)
    with pytest.raises(ScanError, match=r"contours\.dcm: No series is an axial CT.*\(RTSTRUCT\)"):
        read_volume(tmp_path / "contours.dcm")
