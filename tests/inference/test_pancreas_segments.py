"""A DICOM-SEG that was made elsewhere, as the mask of the pancreas."""

import numpy as np
import pydicom
import pytest
from dicom_phantoms import SERIES, lopsided, scan_and_mask

from pancascade.errors import GeometryError, ScanError, UnreadableError
from pancascade.imaging.io import find_source, read_volume, write_dicom_seg
from pancascade.imaging.volume import Volume, reorient
from pancascade.inference.pipeline.pancreas_mask import place_pancreas, read_pancreas_mask

pytest.importorskip("highdicom", reason="highdicom is not installed")


def written(path, mask: Volume, series, *, number="3"):
    write_dicom_seg(mask, path, source=find_source(series, series=number), model="m", version="1")
    return path


def placed(given, scan: Volume):
    """The organ on the whole LPS scan, and the codes of what is told."""
    scan_lps = reorient(scan, "LPS")
    found = place_pancreas(given, scan_lps)
    organ = np.zeros(scan_lps.shape, bool)
    organ[found.prediction.box.slices] = found.prediction.organ > 0
    return organ, [notice.code for notice in found.notices], found.record


def upright_voxels(mask: Volume):
    return reorient(mask, "LPS").voxels


@pytest.mark.parametrize("name", SERIES)
def test_segments_lie_voxel_for_voxel_where_they_were_drawn(name, tmp_path):
    series, scan, mask = scan_and_mask(name, tmp_path / "series")
    given = read_pancreas_mask(written(tmp_path / "seg.dcm", mask, series))
    assert given.values == (1, 2)
    organ, codes, record = placed(given, scan)
    assert np.array_equal(organ, upright_voxels(mask) > 0)
    assert not record.resampled
    assert codes[0] == "pancreas_given"
    assert "pancreas_mask_other_series" not in codes


@pytest.mark.parametrize("name", ["axial", "sorted the other way", "oblique", "sagittal", "enhanced"])
@pytest.mark.parametrize("kept", [(2,), (1, 4), (0, 5), (0, 2, 4)])
def test_planes_that_the_file_leaves_out_are_empty(name, kept, tmp_path):
    series, scan, mask = scan_and_mask(name, tmp_path / "series")
    partial = np.zeros_like(mask.voxels)
    partial[..., list(kept)] = lopsided(mask.shape)[..., 2:3]
    mask = mask.with_voxels(partial)
    path = written(tmp_path / "seg.dcm", mask, series)
    for reported in (True, False):  # other programs do not tell how far apart planes are
        if not reported:
            content = pydicom.dcmread(path)
            del content.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices
            content.save_as(path)
        organ, _, record = placed(read_pancreas_mask(path), scan)
        assert np.array_equal(organ, upright_voxels(mask) > 0)
        assert not record.resampled


def test_one_segment_is_chosen_by_name_or_number(tmp_path):
    series, scan, mask = scan_and_mask("axial", tmp_path / "series")
    path = written(tmp_path / "seg.dcm", mask, series)
    for label in ("pancreas", "1", 1):
        organ, _, _ = placed(read_pancreas_mask(path, labels=[label]), scan)
        assert np.array_equal(organ, upright_voxels(mask) == 1)
    for label in ("liver", "7"):
        with pytest.raises(UnreadableError, match=r"liver|holds no voxel of 7"):
            read_pancreas_mask(path, labels=[label])


def renamed(path, *, label, meaning):
    content = pydicom.dcmread(path)
    for segment in content.SegmentSequence:
        segment.SegmentLabel = label
        segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning = meaning
    content.save_as(path)
    return path


def test_the_coded_type_tells_the_organ_where_the_label_does_not(tmp_path):
    series, scan, mask = scan_and_mask("axial", tmp_path / "series")
    one = mask.with_voxels((mask.voxels == 1).astype(np.uint8))
    path = renamed(written(tmp_path / "seg.dcm", one, series), label="Segment_1", meaning="Pancreas")
    assert np.array_equal(placed(read_pancreas_mask(path), scan)[0], upright_voxels(one) > 0)
    renamed(path, label="Segment_1", meaning="Tissue")
    with pytest.raises(UnreadableError, match="names no pancreas") as refusal:
        read_pancreas_mask(path)
    assert refusal.value.code == "pancreas_label"


def changed_series(folder, **values):
    for path in sorted(folder.glob("*.dcm")):
        image = pydicom.dcmread(path)
        for keyword, value in values.items():
            setattr(image, keyword, value)
        image.save_as(path)
    return read_volume(folder)


def test_segments_of_another_series_in_the_same_frame_of_reference_are_taken_and_that_is_told(tmp_path):
    series, _, mask = scan_and_mask("axial", tmp_path / "series")
    given = read_pancreas_mask(written(tmp_path / "seg.dcm", mask, series))
    organ, codes, _ = placed(given, changed_series(series, SeriesInstanceUID="1.2.3.4"))
    assert "pancreas_mask_other_series" in codes
    assert np.array_equal(organ, upright_voxels(mask) > 0)


@pytest.mark.parametrize("frame", ["1.2.3.5", None])
def test_segments_of_another_frame_of_reference_are_refused(frame, tmp_path):
    series, _, mask = scan_and_mask("axial", tmp_path / "series")
    given = read_pancreas_mask(written(tmp_path / "seg.dcm", mask, series))
    other = changed_series(series, SeriesInstanceUID="1.2.3.4", FrameOfReferenceUID=frame)
    with pytest.raises(GeometryError, match=r"seg\.dcm: made on another series") as refusal:
        placed(given, other)
    assert len(str(refusal.value)) <= 200


def test_a_scan_that_is_no_dicom_is_judged_by_its_place(tmp_path):
    series, scan, mask = scan_and_mask("oblique", tmp_path / "series")
    given = read_pancreas_mask(written(tmp_path / "seg.dcm", mask, series))
    plain = Volume(scan.voxels, scan.affine)
    assert np.array_equal(placed(given, plain)[0], upright_voxels(mask) > 0)
    moved = scan.affine.copy()
    moved[:3, 3] += 20
    with pytest.raises(GeometryError, match="of another scan"):
        placed(given, Volume(scan.voxels, moved))


def test_segments_on_thicker_slices_of_the_same_space_are_resampled(tmp_path):
    series, scan, mask = scan_and_mask("axial", tmp_path / "series")
    given = read_pancreas_mask(written(tmp_path / "seg.dcm", mask, series))
    affine = scan.affine.copy()
    affine[:3, 2] /= 2
    affine[:3, 3] -= affine[:3, 2] / 2
    thin = Volume(np.repeat(scan.voxels, 2, axis=2), affine)
    organ, codes, record = placed(given, thin)
    assert record.resampled
    assert "pancreas_mask_resampled" in codes
    assert np.array_equal(organ, np.repeat(upright_voxels(mask) > 0, 2, axis=2))


@pytest.mark.parametrize("what", ["a CT", "a folder of two", "cut off", "nothing"])
def test_what_is_no_segmentation_is_refused_in_a_sentence(what, tmp_path):
    series, _, mask = scan_and_mask("axial", tmp_path / "series")
    path = written(tmp_path / "seg.dcm", mask, series)
    if what == "a CT":
        path = series
    elif what == "a folder of two":
        path = tmp_path / "two"
        path.mkdir()
        for name in ("a.dcm", "b.dcm"):
            (path / name).write_bytes((tmp_path / "seg.dcm").read_bytes())
    elif what == "cut off":
        path.write_bytes(path.read_bytes()[:-40])
    else:
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ScanError) as refusal:
        given = read_pancreas_mask(path)
        placed(given, read_volume(series))
    assert len(str(refusal.value)) <= 200
