import random
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from dicom_writing import AXIAL, IDENTIFIERS, ct_slices, enhanced, normal_of, picture, save, save_all
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from pancascade.errors import GeometryError
from pancascade.imaging.io.dicom.series import find_series, read_dicom_folder, read_series
from pancascade.imaging.volume import Volume
from pancascade.messages.names_only import DICOM_FOLDER

TURNED = tuple(nib.eulerangles.euler2mat(0.3, -0.2, 0.4)[:, :2].T.ravel())
ORIENTATIONS = {
    "axial": AXIAL,
    "feet first, seen from above": (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    "prone": (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    "upside down": (1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    "oblique": TURNED,
    "oblique and negative": tuple(-cosine for cosine in TURNED[:3]) + TURNED[3:],
}


def place_mm(image: Dataset, *, row: int, column: int) -> np.ndarray:
    """The header formula, PS3.3 C.7.6.2.1.1, in LPS+."""
    cosines = np.array(image.ImageOrientationPatient, dtype=float)
    between_rows, between_columns = map(float, image.PixelSpacing)
    start = np.array(image.ImagePositionPatient, dtype=float)
    return start + column * between_columns * cosines[:3] + row * between_rows * cosines[3:]


def require_every_voxel_in_place(volume: Volume, slices: list[Dataset], hu: np.ndarray) -> None:
    """Each HU of the test picture is unique: find it in the volume, and compare where both say that it lies."""
    assert volume.voxels.size == hu.size
    for number, row, column in np.ndindex(hu.shape):
        ((i, j, k),) = np.argwhere(volume.voxels == hu[number, row, column])
        found_ras = volume.affine[:3] @ (i, j, k, 1)
        expected_lps = place_mm(slices[number], row=row, column=column)
        assert np.allclose(found_ras, expected_lps * (-1, -1, 1), atol=1e-4)


def refused(folder: Path) -> str:
    with pytest.raises(GeometryError) as caught:
        read_dicom_folder(folder)
    message = str(caught.value)
    assert message.startswith(DICOM_FOLDER) or message.partition(": ")[0] in {file.name for file in folder.rglob("*")}
    assert folder.name not in message
    assert not any(identifier in message for identifier in IDENTIFIERS.values())
    return message


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
@pytest.mark.parametrize("direction", [1, -1])
def test_every_voxel_lies_where_its_header_says(tmp_path, orientation, direction):
    hu = picture()
    slices = ct_slices(hu, orientation=orientation, step_mm=direction * 2.5 * normal_of(orientation))
    save_all(slices, tmp_path)
    volume = read_dicom_folder(tmp_path)
    assert volume.voxels.dtype == np.int16
    assert volume.shape == (5, 7, 4)
    assert volume.spacing_mm == pytest.approx((0.7, 0.9, 2.5))
    require_every_voxel_in_place(volume, slices, hu)


def test_an_axial_head_first_series_is_lps(tmp_path):
    save_all(ct_slices(picture()), tmp_path)
    assert read_dicom_folder(tmp_path).orientation == "LPS"


@pytest.mark.oracle
@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
@pytest.mark.parametrize("direction", [1, -1])
def test_itk_reads_the_same_values_at_the_same_places(tmp_path, orientation, direction):
    save_all(ct_slices(picture(), orientation=orientation, step_mm=direction * 2.5 * normal_of(orientation)), tmp_path)
    volume = read_dicom_folder(tmp_path)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    image = reader.Execute()
    assert image.GetSize() == volume.shape
    assert np.array_equal(sitk.GetArrayFromImage(image).transpose(), volume.voxels)
    for index in ((0, 0, 0), (4, 0, 0), (0, 6, 0), (0, 0, 3), (4, 6, 3)):
        itk_lps = np.array(image.TransformIndexToPhysicalPoint(index))
        assert np.allclose(volume.affine[:3] @ (*index, 1), itk_lps * (-1, -1, 1), atol=1e-4)


def test_the_order_of_files_and_of_instance_numbers_changes_nothing(tmp_path):
    slices = ct_slices(picture(slices=6))
    save_all(slices, tmp_path / "sorted")
    mixed = list(slices)
    random.Random(5).shuffle(mixed)
    for number, image in enumerate(mixed):
        image.InstanceNumber = number
    save_all(mixed, tmp_path / "mixed")
    expected, found = read_dicom_folder(tmp_path / "sorted"), read_dicom_folder(tmp_path / "mixed")
    assert np.array_equal(found.voxels, expected.voxels)
    assert np.array_equal(found.affine, expected.affine)


@pytest.mark.parametrize("shared_plane", [True, False])
@pytest.mark.parametrize("direction", [1, -1])
def test_an_enhanced_image_is_the_volume_of_its_frames(tmp_path, shared_plane, direction):
    hu = picture()
    slices = ct_slices(hu, step_mm=(0, 0, 2.5 * direction))
    slices[1].RescaleIntercept = -1000
    hu[1] += 24
    hu = hu * 2  # keeps them unique
    for image in slices:
        image.RescaleSlope = 2
        image.RescaleIntercept = 2 * image.RescaleIntercept
    save(enhanced(slices, shared_plane=shared_plane), tmp_path / "multi")
    (series,) = find_series(tmp_path)
    assert (series.kind, series.instance_count, series.slice_count) == ("ct", 1, 4)
    volume = read_series(series)
    assert volume.source == tmp_path / "multi"
    require_every_voxel_in_place(volume, slices, hu)


def test_an_enhanced_image_without_a_position_for_each_frame_is_refused(tmp_path):
    image = enhanced(ct_slices(picture()))
    del image.PerFrameFunctionalGroupsSequence[-1]
    save(image, tmp_path / "multi.dcm")
    assert "4 frames, but positions for 3" in refused(tmp_path)


def test_missing_slices_are_counted_and_placed(tmp_path):
    files = save_all(ct_slices(picture(slices=12)), tmp_path)
    for gone in (files[3], files[4], files[8]):
        gone.unlink()
    assert (
        "3 slices missing from a series of one every 2.50 mm: 2 between IM0003.dcm and IM0006.dcm (7.50 mm apart); "
        "1 more. Copy the series again."
    ) in refused(tmp_path)


@pytest.mark.parametrize("fault", ["gaps", "two images", "turned", "uneven"])
def test_with_uids_as_names_the_sentence_stays_short(tmp_path, fault):
    slices = ct_slices(picture(slices=12))
    if fault == "gaps":
        slices = [each for place, each in enumerate(slices) if place not in (2, 5, 8, 9)]
    elif fault == "two images":
        slices += ct_slices(picture(slices=12) + 1)[3:6]
    elif fault == "turned":
        slices[4].ImageOrientationPatient = ["0.99984769", "0.01745240", "0", "-0.0174524", "0.99984769", "0"]
    else:
        slices[4].ImagePositionPatient[2] += 1.1
    for place, each in enumerate(slices):
        save(each, tmp_path / f"{'1.2.840.113619.2.55.3.604688119.868.1398152523.'.ljust(60, '7')}{place:02d}.dcm")
    assert len(refused(tmp_path)) <= 200


def test_one_missing_slice_in_the_reverse_order(tmp_path):
    files = save_all(ct_slices(picture(slices=5), step_mm=(0, 0, -2.5)), tmp_path)
    files[2].unlink()
    assert "1 slice missing from a series of one every 2.50 mm: 1 between IM0004.dcm and IM0002.dcm" in refused(
        tmp_path
    )


@pytest.mark.parametrize("same_uid", [True, False])
def test_an_image_that_is_there_twice_is_read_once_with_a_warning(tmp_path, same_uid):
    hu = picture()
    slices = ct_slices(hu)
    save_all(slices, tmp_path)
    if not same_uid:
        slices[2].SOPInstanceUID = generate_uid()
    save(slices[2], tmp_path / "copy of IM0003.dcm")
    volume = read_dicom_folder(tmp_path)
    (notice,) = volume.notices
    assert (notice.code, notice.severity, notice.values) == ("copies_left_out", "warning", {"copies": 1})
    assert "1 slice of the series is present twice" in notice.sentence
    require_every_voxel_in_place(volume, ct_slices(hu), hu)


def test_a_copy_is_known_by_its_hounsfield_units_not_by_how_they_are_stored(tmp_path):
    slices = ct_slices(picture())
    again = ct_slices(picture(), intercept=-2000)[1]
    save_all([*slices, again], tmp_path)
    assert [notice.code for notice in read_dicom_folder(tmp_path).notices] == ["copies_left_out"]


@pytest.mark.parametrize("same_uid", [True, False])
def test_different_images_at_one_place_are_refused(tmp_path, same_uid):
    slices = ct_slices(picture())
    arterial = ct_slices(picture() + 1)
    if same_uid:
        arterial[1].SOPInstanceUID = slices[1].SOPInstanceUID
    save_all([*slices, arterial[1]], tmp_path)
    message = refused(tmp_path)
    assert "different images lie at the same position (1 slice), the first are IM0002.dcm and IM0005.dcm" in message
    assert "Export one phase" in message


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"ImageOrientationPatient": [1, 0, 0, 0, 0.8, 0.6]},
            "the orientation differs between the slices: 1 of 4 differ from the others, the first is IM0002.dcm",
        ),
        (
            {"PixelSpacing": [0.9, 0.8]},
            "the PixelSpacing differs between the slices: 1 of 4 differ from the others, .*0.9 0.8",
        ),
        ({"Rows": 5, "Columns": 7}, "number of rows and columns differs .* IM0002.dcm with 5 7 against 7 5"),
        ({"ImagePositionPatient": [-120.5, -80.25, 42.9]}, "unevenly spaced, 2.10 to 2.90 mm apart.*IM0002"),
        ({"ImagePositionPatient": [-120.5, -90.25, 42.5]}, "do not lie on one line, up to 10.0 mm"),
    ],
)
def test_one_odd_slice_is_named(tmp_path, change, sentence):
    slices = ct_slices(picture())
    slices[1].update(change)
    save_all(slices, tmp_path)
    with pytest.raises(GeometryError, match=sentence):
        read_dicom_folder(tmp_path)


@pytest.mark.parametrize(("off_mm", "codes"), [(0.02, []), (0.1, ["positions_rounded"]), (0.5, None)])
def test_spacing_may_vary_by_one_percent_and_by_a_little_more_with_a_warning(tmp_path, off_mm, codes):
    slices = ct_slices(picture())
    slices[1].ImagePositionPatient[2] += off_mm
    save_all(slices, tmp_path)
    if codes is None:
        assert "unevenly spaced" in refused(tmp_path)
    else:
        volume = read_dicom_folder(tmp_path)
        assert volume.spacing_mm[2] == pytest.approx(2.5)
        assert [notice.code for notice in volume.notices] == codes


@pytest.mark.parametrize("step_mm", [0.8, 1.25, 3.75])
def test_positions_rounded_to_a_tenth_are_read_as_even_with_a_warning(tmp_path, step_mm):
    hu = picture(slices=30)
    slices = ct_slices(hu, step_mm=(0, 0, step_mm), origin_mm=(-120.5, -80.25, 40.03))
    for image in slices:
        image.ImagePositionPatient[2] = round(float(image.ImagePositionPatient[2]), 1)
    # A step of 0.8 mm stays even when it is rounded.
    save_all(slices, tmp_path)
    volume = read_dicom_folder(tmp_path)
    assert volume.spacing_mm[2] == pytest.approx(step_mm, abs=0.004)
    assert [notice.code for notice in volume.notices] == ([] if step_mm == 0.8 else ["positions_rounded"])
    assert np.array_equal(volume.voxels, hu.transpose(2, 1, 0))


@pytest.mark.parametrize("seed", range(5))
def test_a_trembling_table_is_read_with_a_warning_and_thin_slices_with_gaps_are_not(tmp_path, seed):
    rng = np.random.default_rng(seed)
    slices = ct_slices(picture(slices=24))
    for image in slices:
        image.ImagePositionPatient[2] += float(rng.uniform(-0.05, 0.05))
    files = save_all(slices, tmp_path)
    (notice,) = read_dicom_folder(tmp_path).notices
    assert notice.code == "positions_rounded"
    assert 0.02 < notice.values["beside_mm"] < 0.1
    files[7].unlink()
    with pytest.raises(GeometryError) as caught:
        read_dicom_folder(tmp_path)
    assert caught.value.code in ("missing_slices", "uneven_slices")


def test_positions_rounded_to_a_hundredth_are_even(tmp_path):
    slices = ct_slices(picture(slices=30), step_mm=(0, 0, 0.625))
    for image in slices:
        image.ImagePositionPatient[2] = round(float(image.ImagePositionPatient[2]), 2)
    save_all(slices, tmp_path)
    assert read_dicom_folder(tmp_path).spacing_mm[2] == pytest.approx(0.625, abs=1e-3)


def test_a_gantry_tilt_is_refused_with_its_angle(tmp_path):
    angle = np.radians(12)
    tilted = (1, 0, 0, 0, np.cos(angle), -np.sin(angle))
    save_all(ct_slices(picture(), orientation=tilted, step_mm=(0, 0, 2.5)), tmp_path)
    message = refused(tmp_path)
    assert "leans by 12.0 degrees (gantry tilt)" in message
    assert "dcm2niix" in message


def test_a_shear_too_small_to_be_a_tilt_is_kept_exactly(tmp_path):
    hu = picture()
    slices = ct_slices(hu, step_mm=(0, 2.5 * np.tan(np.radians(0.4)), 2.5))
    save_all(slices, tmp_path)
    volume = read_dicom_folder(tmp_path)
    assert abs(volume.affine[1, 2]) > 0.01
    require_every_voxel_in_place(volume, slices, hu)


def test_a_single_slice_is_as_thick_as_it_says(tmp_path):
    (image,) = ct_slices(picture(slices=1))
    save(image, tmp_path / "one" / "x.dcm")
    assert read_dicom_folder(tmp_path / "one").spacing_mm == pytest.approx((0.7, 0.9, 2.5))
    del image.SliceThickness
    save(image, tmp_path / "two" / "x.dcm")
    assert "a single slice without SliceThickness" in refused(tmp_path / "two")


@pytest.mark.parametrize("keyword", ["PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"])
@pytest.mark.parametrize("damage", ["missing", "empty"])
def test_a_header_without_its_place_is_refused(tmp_path, keyword, damage):
    slices = ct_slices(picture())
    if damage == "missing":
        del slices[2][keyword]
    else:
        slices[2][keyword].value = None
    save_all(slices, tmp_path)
    assert f"IM0003.dcm: {keyword} is missing or damaged" in refused(tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"PixelSpacing": [0.9, 0]}, r"PixelSpacing is \(0.9, 0.0\), it must be above 0"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 2, 0]}, "not two directions at right angles"),
        ({"ImageOrientationPatient": [1, 0, 0, 0.6, 0.8, 0]}, "not two directions at right angles"),
    ],
)
def test_an_impossible_place_is_refused(tmp_path, change, sentence):
    slices = ct_slices(picture(), **change)
    save_all(slices, tmp_path)
    with pytest.raises(GeometryError, match=sentence):
        read_dicom_folder(tmp_path)
