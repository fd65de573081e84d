"""Real DICOM of scanners and of other projects' test suites."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from pancascade.errors import GeometryError, NotCTError, ScanError
from pancascade.imaging.io import read_scan, require_ct
from pancascade.imaging.io.dicom.frames import frames_of
from pancascade.imaging.io.dicom.geometry import arrange
from pancascade.imaging.io.dicom.series import choose_series, find_series, read_dicom_folder, read_series

pytestmark = pytest.mark.shared

LOSSLESS = [
    "BigEndianExplicitTransferSyntax_1.2.840.10008.1.2.2",
    "DeflatedExplicitVRLittleEndianTransferSyntax_1.2.840.10008.1.2.1.99",
    "JPEG2000LosslessOnlyTransferSyntax_1.2.840.10008.1.2.4.90",
    "JPEGLSLosslessTransferSyntax_1.2.840.10008.1.2.4.80",
    "JPEGProcess14SV1TransferSyntax_1.2.840.10008.1.2.4.70",
    "JPEGProcess14TransferSyntax_1.2.840.10008.1.2.4.57",
    "LittleEndianExplicitTransferSyntax_1.2.840.10008.1.2.1",
    "LittleEndianImplicitTransferSyntax_1.2.840.10008.1.2",
    "RLELosslessTransferSyntax_1.2.840.10008.1.2.5",
]
# The largest error in HU that the compression itself makes; 8 bits for 4096 values cost 32 each.
LOSSY = {
    "JPEG2000TransferSyntax_1.2.840.10008.1.2.4.91": 5,
    "JPEGLSLossyTransferSyntax_1.2.840.10008.1.2.4.81": 1,
    "JPEGProcess1TransferSyntax_1.2.840.10008.1.2.4.50": 65,
    "JPEGProcess2_4TransferSyntax_1.2.840.10008.1.2.4.51": 36,
    "JPEGProcess6_8TransferSyntax_1.2.840.10008.1.2.4.53": 36,
    "JPEGProcess10_12TransferSyntax_1.2.840.10008.1.2.4.55": 36,
}


@pytest.fixture
def patient(shared_data: Path) -> Path:
    return shared_data / "dicom" / "pancreatic_ct_cb_001"


@pytest.fixture
def fixtures(shared_data: Path) -> Path:
    return shared_data / "dicom" / "fixtures"


def test_the_ct_of_a_tcia_patient_is_found_among_its_contours(patient):
    series = find_series(patient)
    assert sorted(each.kind for each in series) == ["RTSTRUCT", "RTSTRUCT", "RTSTRUCT", "ct"]
    chosen = choose_series(series)
    assert (chosen.number, chosen.instance_count, chosen.slice_count) == (201, 79, 79)
    assert choose_series(series, wanted="pancreas") == chosen
    with pytest.raises(ScanError, match=r"series 1 \(RTSTRUCT\)"):
        choose_series(series, wanted="1")


@pytest.mark.oracle
def test_a_tcia_patient_is_read_as_itk_reads_it(patient):
    volume = read_dicom_folder(patient)
    assert (volume.shape, volume.orientation, volume.voxels.dtype) == ((512, 512, 79), "LPS", np.int16)
    assert require_ct(volume) == []
    reader = sitk.ImageSeriesReader()
    (folder,) = patient.glob("201*")
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    assert np.array_equal(sitk.GetArrayViewFromImage(image).transpose(), volume.voxels)
    for index in ((0, 0, 0), (511, 0, 0), (0, 511, 0), (0, 0, 78), (511, 511, 78)):
        itk_lps = np.array(image.TransformIndexToPhysicalPoint(index))
        assert np.allclose(volume.affine[:3] @ (*index, 1), itk_lps * (-1, -1, 1), atol=1e-3)


def test_a_tcia_patient_lies_where_the_nifti_made_of_it_lies(patient, shared_data):
    volume = read_dicom_folder(patient)
    part = read_scan(shared_data / "scans" / "pancreatic_ct_cb_001_upper_abdomen.nii.gz")
    start = np.rint(np.linalg.solve(volume.affine, part.affine[:, 3])[:3]).astype(int)
    assert np.allclose(volume.affine @ (*start, 1), part.affine[:, 3], atol=1e-3)
    same = volume.voxels[tuple(slice(first, first + size) for first, size in zip(start, part.shape, strict=True))]
    assert np.array_equal(same, part.voxels)


def picture_of(file: Path) -> np.ndarray:
    return read_dicom_folder(file).voxels


@pytest.mark.parametrize("name", LOSSLESS)
def test_every_lossless_transfer_syntax_gives_the_same_picture(fixtures, name):
    folder = fixtures / "transfer_syntaxes"
    expected, found = picture_of(folder / "CTImage.dcm"), picture_of(folder / f"CTImage.dcm_{name}.dcm")
    assert found.dtype == np.int16
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(("name", "error_hu"), LOSSY.items())
def test_every_lossy_transfer_syntax_gives_nearly_the_same_picture(fixtures, name, error_hu):
    folder = fixtures / "transfer_syntaxes"
    expected, found = picture_of(folder / "CTImage.dcm"), picture_of(folder / f"CTImage.dcm_{name}.dcm")
    assert np.abs(found - expected.astype(np.float64)).max() <= error_hu


@pytest.mark.parametrize("name", ["CT1_J2KR", "CT2_J2KR"])
def test_scanners_jpeg_2000_is_read_as_itk_reads_it(fixtures, name):
    itk = sitk.GetArrayFromImage(sitk.ReadImage(str(fixtures / "transfer_syntaxes" / name), imageIO="GDCMImageIO"))
    itk[itk == -2000 - 1024] = -1024  # CT1_J2KR names -2000 as padding
    assert np.array_equal(picture_of(fixtures / "transfer_syntaxes" / name).transpose(), itk)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("US-YBR_FULL_422-EVRLE.dcm", "US series"),
        ("no-pixel-data.dcm", "structured report"),
        ("no-pixel-spacing.dcm", "US series"),
        ("CT0012.fragmented_no_bot_jpeg_baseline.51.dcm", "derived picture"),
    ],
)
def test_what_is_no_ct_is_refused_by_its_kind(fixtures, name, kind):
    with pytest.raises(ScanError, match=rf"{name}: No series is an axial CT\..*\({kind}"):
        read_dicom_folder(fixtures / "transfer_syntaxes" / name)


def test_no_transfer_syntax_was_forgotten(fixtures):
    files = {file.name for file in (fixtures / "transfer_syntaxes").glob("CTImage.dcm_*")}
    assert files == {f"CTImage.dcm_{name}.dcm" for name in (*LOSSLESS, *LOSSY)}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("gantrytilting", r"leans by 14\.0 degrees \(gantry tilt\)"),
        ("notavolume", r"different images lie at the same position \(3 slices\)"),
        ("sliceincrement/001", r"1 slice missing .* 1 between IM-0001-0009-0001\.dcm and IM-0001-0010-0001\.dcm"),
        ("sliceincrement/002", r"1 slice missing .* 1 between IM-0001-0003\.dcm and IM-0001-0005\.dcm"),
    ],
)
def test_broken_geometry_is_refused_as_what_it_is(fixtures, name, sentence):
    with pytest.raises(GeometryError, match=sentence):
        read_dicom_folder(fixtures / "broken_geometry" / name)


def test_mixed_orientations_are_named_in_mr_too_but_mr_is_no_ct(fixtures):
    folder = fixtures / "broken_geometry" / "sliceorientation"
    frames = [frame for file in sorted(folder.rglob("*.dcm")) for frame in frames_of(file)]
    with pytest.raises(GeometryError, match="orientation differs between the slices: 2 of 4 differ from the others"):
        arrange(frames, source=folder)
    (series,) = find_series(folder)
    with pytest.raises(NotCTError, match=r"series 202 .*MR series.* is not a CT"):
        read_series(series)


def test_two_sagittal_slices_lie_where_their_headers_say(fixtures):
    folder = fixtures / "broken_geometry" / "slicecount"
    frames, affine, _ = arrange([frames_of(file)[0] for file in sorted(folder.rglob("*.dcm"))], source=folder)
    for place, frame in enumerate(frames):
        assert np.allclose(affine[:3] @ (0, 0, place, 1), np.multiply(frame.position_mm, (-1, -1, 1)))
    assert np.allclose(np.linalg.norm(affine[:3, :3], axis=0), 1)


@pytest.mark.parametrize("name", ["23x38x3", "24x38x3"])
def test_a_legacy_converted_enhanced_ct_is_the_volume_of_its_slices(fixtures, name):
    single = read_dicom_folder(fixtures / "seg_dcmqi" / name / "image")
    multiple = read_dicom_folder(fixtures / "seg_dcmqi" / name / "multiframe")
    assert np.array_equal(multiple.voxels, single.voxels)
    assert multiple.on_same_grid_as(single)


def test_an_enhanced_perfusion_map_is_read_but_never_chosen(fixtures):
    (series,) = find_series(fixtures / "multiframe" / "data" / "eCT_Supplemental.dcm")
    assert series.kind == "derived picture"
    volume = read_series(series)
    assert volume.shape == (512, 512, 2)
    assert volume.spacing_mm == pytest.approx((0.388672, 0.388672, 10))
    with pytest.raises(ScanError, match="No series is an axial CT"):
        choose_series([series])


def test_the_same_slice_stored_twice_differently_is_refused(fixtures):
    with pytest.raises(GeometryError, match=r"position \(1 slice\), the first are 693_J2KR\.dcm and 693_UNCI\.dcm"):
        read_dicom_folder(fixtures / "multiframe")
