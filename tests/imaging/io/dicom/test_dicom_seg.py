import logging

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from dicom_phantoms import PICTURE, SERIES, STUDY, lopsided, scan_and_mask
from dicom_writing import IDENTIFIERS, ct_slices, save_all

from pancascade.errors import GeometryError, OutputError, ScanError
from pancascade.imaging.io import find_source, read_volume, write_dicom_seg
from pancascade.imaging.volume import Volume
from pancascade.labels import COLOURS, Label


def written(mask, path, scan_path):
    write_dicom_seg(mask, path, source=find_source(scan_path, series="3"), model="qiu2024-small", version="0.1.0")
    return highdicom.seg.segread(path)


def frames_in_patient(segmentation):
    """Of every voxel set in a segment, its place in mm (LPS), by the frames' own headers alone."""
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    row, column = np.reshape(shared.PlaneOrientationSequence[0].ImageOrientationPatient, (2, 3)).astype(float)
    spacing = shared.PixelMeasuresSequence[0].PixelSpacing
    places = {}
    pixels = segmentation.pixel_array.reshape(-1, segmentation.Rows, segmentation.Columns)
    for groups, plane in zip(segmentation.PerFrameFunctionalGroupsSequence, pixels, strict=True):
        group = groups if "SegmentIdentificationSequence" in groups else shared
        number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        rows, columns = np.nonzero(plane)
        position = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        places.setdefault(number, []).append(
            position + np.outer(rows, column * spacing[0]) + np.outer(columns, row * spacing[1])
        )
    return {number: np.concatenate(found) for number, found in places.items()}


def in_patient(mask, label):
    """The same from the volume that the reader made."""
    return (np.argwhere(mask.voxels == label) @ mask.affine[:3, :3].T + mask.affine[:3, 3]) * (-1, -1, 1)


def in_order(places):
    return places[np.lexsort(np.round(places, 3).T)]


@pytest.mark.parametrize("name", SERIES)
def test_every_voxel_lands_where_it_was(name, tmp_path):
    path, _, mask = scan_and_mask(name, tmp_path / "series")
    found = frames_in_patient(written(mask, tmp_path / "mask.dcm", path))
    assert set(found) == {1, 2}
    for label in (1, 2):
        expected = in_patient(mask, label)
        # A lean below half a degree stays in the frames' places; between the slices the volume's axis is straight.
        assert np.allclose(in_order(found[label]), in_order(expected), atol=2e-3)


@pytest.mark.oracle
@pytest.mark.parametrize("name", [name for name in SERIES if "leaning" not in name])
def test_highdicom_reads_the_volume_back(name, tmp_path):
    path, _, mask = scan_and_mask(name, tmp_path / "series")
    segmentation = written(mask, tmp_path / "mask.dcm", path)
    volume = segmentation.get_volume(combine_segments=True, allow_missing_positions=True)
    index = np.indices(volume.spatial_shape).reshape(3, -1).T
    there = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    here = np.rint(np.linalg.solve(mask.affine, np.c_[there * (-1, -1, 1), np.ones(len(there))].T)[:3]).astype(int)
    assert np.array_equal(volume.array.reshape(-1), mask.voxels[tuple(here)])
    assert np.count_nonzero(volume.array) == np.count_nonzero(mask.voxels)


@pytest.mark.parametrize("name", ["axial", "sorted the other way", "oblique", "archive", "a slice twice"])
def test_each_frame_refers_to_its_image(name, tmp_path):
    path, _, mask = scan_and_mask(name, tmp_path / "series")
    source = find_source(path)
    segmentation = written(mask, tmp_path / "mask.dcm", path)
    uids = [each.SOPInstanceUID for each in source.datasets]
    pixels = segmentation.get_pixels_by_source_instance(
        uids, combine_segments=True, ignore_spatial_locations=False, assert_missing_frames_are_empty=True
    )
    assert np.array_equal(pixels, mask.voxels.transpose(2, 1, 0))
    assert {each.ReferencedSOPInstanceUID for each in segmentation.SourceImageSequence} == set(uids)
    assert segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID == source.datasets[0].SeriesInstanceUID


@pytest.mark.parametrize("name", ["enhanced", "enhanced, frames backwards"])
def test_each_frame_refers_to_its_frame_of_an_enhanced_image(name, tmp_path):
    path, _, mask = scan_and_mask(name, tmp_path / "series")
    source = find_source(path)
    segmentation = written(mask, tmp_path / "mask.dcm", path)
    numbers = [source.number_in(place) for place in range(6)]
    pixels = segmentation.get_pixels_by_source_frame(
        source.datasets[0].SOPInstanceUID, numbers, combine_segments=True, assert_missing_frames_are_empty=True
    )
    assert np.array_equal(pixels, mask.voxels.transpose(2, 1, 0))


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["axial", "sorted the other way", "negative cosines", "oblique", "sagittal", "thick"])
def test_itk_reads_the_volume_back(name, tmp_path):
    path, _, mask = scan_and_mask(name, tmp_path / "series")
    # ITK stacks the frames of all segments, so it can read one segment without gaps.
    solid = mask.with_voxels(np.maximum(mask.voxels > 0, np.indices(mask.shape).sum(axis=0) == 3).astype(np.uint8))
    solid.voxels[0, 0, :] = 1
    written(solid, tmp_path / "mask.dcm", path)
    image = sitk.ReadImage(str(tmp_path / "mask.dcm"))
    assert image.GetSize() == solid.shape
    voxels = sitk.GetArrayFromImage(image).transpose()
    there = np.array([image.TransformIndexToPhysicalPoint(index.tolist()) for index in np.argwhere(voxels)])
    assert np.allclose(in_order(there), in_order(in_patient(solid, 1)), atol=2e-3)


def test_segments_are_coded_in_snomed_ct_and_coloured(tmp_path):
    path, _, mask = scan_and_mask("axial", tmp_path / "series")
    pancreas, tumour = written(mask, tmp_path / "mask.dcm", path).SegmentSequence
    assert (pancreas.SegmentNumber, pancreas.SegmentLabel) == (1, "Pancreas")
    assert (tumour.SegmentNumber, tumour.SegmentLabel) == (2, "Tumour")
    assert pancreas.SegmentedPropertyTypeCodeSequence[0].CodeValue == "15776009"
    assert tumour.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    assert tumour.SegmentedPropertyTypeCodeSequence[0].CodeValue == "108369006"
    assert tumour.AnatomicRegionSequence[0].CodeValue == "15776009"
    for segment in (pancreas, tumour):
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("pancascade", "0.1.0")
        assert algorithm.AlgorithmParameters == "model=qiu2024-small"
        colour = highdicom.color.CIELabColor.from_dicom_value(segment.RecommendedDisplayCIELabValue).to_rgb()
        assert np.allclose(colour, list(bytes.fromhex(COLOURS[Label(segment.SegmentNumber)][1:])), atol=1)


def test_patient_and_study_are_carried_over_and_the_series_is_new(tmp_path):
    path, _, mask = scan_and_mask("axial", tmp_path / "series")
    segmentation = written(mask, tmp_path / "mask.dcm", path)
    for keyword, value in {**IDENTIFIERS, **STUDY}.items():
        if keyword not in ("InstitutionName",):
            assert str(segmentation.get(keyword)) == value, keyword
    (first, *_) = find_source(path).datasets
    assert segmentation.StudyInstanceUID == first.StudyInstanceUID
    assert segmentation.SeriesInstanceUID != first.SeriesInstanceUID
    assert segmentation.SOPInstanceUID not in {each.SOPInstanceUID for each in find_source(path).datasets}
    assert "research use only" in segmentation.SeriesDescription
    assert "research use only" in segmentation.ContentDescription


def test_an_absent_tumour_has_no_segment(tmp_path):
    path, _, mask = scan_and_mask("axial", tmp_path / "series")
    segmentation = written(mask.with_voxels((mask.voxels == 1).astype(np.uint8)), tmp_path / "mask.dcm", path)
    assert [each.SegmentLabel for each in segmentation.SegmentSequence] == ["Pancreas"]
    assert segmentation.NumberOfFrames == 5


def test_a_tumour_without_pancreas_keeps_its_number(tmp_path):
    path, _, mask = scan_and_mask("axial", tmp_path / "series")
    lonely = mask.with_voxels(np.where(mask.voxels == 2, 2, 0).astype(np.uint8))
    segmentation = written(lonely, tmp_path / "mask.dcm", path)
    assert [each.SegmentNumber for each in segmentation.SegmentSequence] == [1, 2]
    found = frames_in_patient(segmentation)
    assert set(found) == {2}
    assert len(found[2]) == np.count_nonzero(lonely.voxels)


def test_nothing_found_is_a_file_that_says_so_slice_by_slice(tmp_path):
    path, _, mask = scan_and_mask("axial", tmp_path / "series")
    segmentation = written(mask.with_voxels(np.zeros(mask.shape, np.uint8)), tmp_path / "mask.dcm", path)
    assert [each.SegmentLabel for each in segmentation.SegmentSequence] == ["Pancreas"]
    assert segmentation.NumberOfFrames == 6
    assert not segmentation.pixel_array.any()


def test_a_boolean_mask_and_a_wide_one_are_the_same_to_it(tmp_path):
    path, _, mask = scan_and_mask("axial", tmp_path / "series")
    for dtype in (np.bool_, np.int64):
        segmentation = written(mask.with_voxels((mask.voxels == 1).astype(dtype)), tmp_path / "mask.dcm", path)
        assert np.allclose(in_order(frames_in_patient(segmentation)[1]), in_order(in_patient(mask, 1)), atol=2e-3)


@pytest.mark.parametrize(
    ("keyword", "value", "kept"),
    [
        ("PatientName", "Łukasz^Żółć", "Łukasz^Żółć"),
        ("PatientID", "", ""),
        ("PatientID", "X" * 80, "X" * 80),
        ("PatientBirthDate", "1950-02-14", ""),
        ("PatientSex", "female", ""),
        ("StudyTime", "10:15", ""),
        ("PatientAge", "73 years", "None"),
        ("StudyDate", None, ""),
    ],
)
def test_odd_headers_of_the_source_do_no_harm(tmp_path, keyword, value, kept, caplog, recwarn):
    charset = {"SpecificCharacterSet": "ISO_IR 101"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.IGNORE)
        patch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.IGNORE)
        save_all(ct_slices(PICTURE, **{**charset, **STUDY, keyword: value}), tmp_path / "series")
        scan = read_volume(tmp_path / "series")
        with caplog.at_level(logging.DEBUG):
            mask = scan.with_voxels(lopsided(scan.shape))
            write_dicom_seg(
                mask, tmp_path / "mask.dcm", source=find_source(tmp_path / "series"), model="m", version="1"
            )
        assert str(pydicom.dcmread(tmp_path / "mask.dcm").get(keyword)) == kept
    assert not any(name and name in caplog.text for name in (*IDENTIFIERS.values(), value))
    assert not [each for each in recwarn if str(each.message)]


def test_a_series_without_patient_or_frame_of_reference_is_written_all_the_same(tmp_path, caplog):
    slices = ct_slices(PICTURE)
    for image in slices:
        for keyword in IDENTIFIERS:
            delattr(image, keyword)
    save_all(slices, tmp_path / "series")
    scan = read_volume(tmp_path / "series")
    mask = scan.with_voxels(lopsided(scan.shape))
    first = written(mask, tmp_path / "first.dcm", tmp_path / "series")
    second = written(mask, tmp_path / "second.dcm", tmp_path / "series")
    assert first.FrameOfReferenceUID == second.FrameOfReferenceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert "FrameOfReferenceUID is missing" in caplog.text
    assert np.allclose(in_order(frames_in_patient(first)[2]), in_order(in_patient(mask, 2)), atol=2e-3)


def test_what_cannot_be_written_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path, _, mask = scan_and_mask("axial", tmp_path / "series")
    target = tmp_path / "mask.dcm"
    target.write_text("old")
    moved = mask.affine.copy()
    moved[0, 3] += 1
    with pytest.raises(GeometryError):
        written(Volume(mask.voxels, moved), target, path)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(highdicom.seg.Segmentation, "save_as", full)
    with pytest.raises(OutputError, match="the disk is full"):
        written(mask, target, path)
    assert target.read_text() == "old"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["mask.dcm", "series"]


def test_a_segmentation_given_as_scan_is_said_to_be_no_ct(tmp_path):
    path, _, mask = scan_and_mask("axial", tmp_path / "series")
    written(mask, tmp_path / "mask.dcm", path)
    with pytest.raises(ScanError, match=r"mask\.dcm: No series is an axial CT.*\(segmentation"):
        read_volume(tmp_path / "mask.dcm")


def test_a_segmentation_in_the_scan_s_folder_is_passed_over(tmp_path):
    path, scan, mask = scan_and_mask("axial", tmp_path)
    written(mask, tmp_path / "mask.dcm", path)
    assert np.array_equal(read_volume(tmp_path).voxels, scan.voxels)
