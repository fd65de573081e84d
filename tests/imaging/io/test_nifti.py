import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pancascade.errors import GeometryError, OutputError, UnreadableError
from pancascade.imaging.io import read_nifti, write_nifti
from pancascade.imaging.volume import Volume, reorient


def save(path: Path, voxels: np.ndarray) -> Path:
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), path)
    return path


def patched(path: Path, offset: int, values: np.ndarray) -> Path:
    """Damage the header on disk, where nibabel cannot mend it."""
    content = bytearray(path.read_bytes())
    content[offset : offset + values.nbytes] = values.tobytes()
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".NII.GZ"])
def test_writing_then_reading_gives_back_the_scan(ct, tmp_path, suffix):
    path = tmp_path / f"scan{suffix}"
    write_nifti(ct, path)
    back = read_nifti(path)
    assert back.voxels.dtype == np.int16
    assert np.array_equal(back.voxels, ct.voxels)
    assert np.array_equal(back.affine, ct.affine.astype(np.float32))
    assert back.source == path


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.tuples(*[st.floats(-180, 180)] * 3),
    st.tuples(*[st.floats(0.2, 8)] * 3),
    st.tuples(*[st.floats(-500, 500)] * 3),
)
def test_any_affine_comes_back_to_the_last_float32_bit(tmp_path, degrees, spacing_mm, origin_mm):
    rotation = nib.eulerangles.euler2mat(*np.radians(degrees))
    affine = nib.affines.from_matvec(rotation * spacing_mm, origin_mm)
    write_nifti(Volume(np.zeros((2, 3, 4), dtype=np.uint8), affine), tmp_path / "x.nii")
    once = read_nifti(tmp_path / "x.nii")
    assert np.array_equal(once.affine, affine.astype(np.float32))
    write_nifti(once, tmp_path / "y.nii")
    assert np.array_equal(read_nifti(tmp_path / "y.nii").affine, once.affine)


@pytest.mark.oracle
def test_sform_qform_units_and_description_are_what_viewers_expect(ct, tmp_path):
    write_nifti(ct, tmp_path / "x.nii.gz")
    header = nib.load(tmp_path / "x.nii.gz").header
    for matrix, code in (header.get_sform(coded=True), header.get_qform(coded=True)):
        assert code == 1
        assert np.allclose(matrix, ct.affine, atol=1e-4)
    assert header.get_xyzt_units()[0] == "mm"
    assert bytes(header["descrip"]).rstrip(b"\0") == b"pancascade"
    assert header.get_zooms() == pytest.approx(ct.spacing_mm)


def test_a_sheared_grid_keeps_its_sform_and_claims_no_qform(ct, tmp_path):
    tilted = ct.affine.copy()
    tilted[1, 2] = 1.3
    write_nifti(Volume(ct.voxels, tilted), tmp_path / "x.nii.gz")
    header = nib.load(tmp_path / "x.nii.gz").header
    assert int(header["qform_code"]) == 0
    assert int(header["sform_code"]) == 1
    assert np.array_equal(read_nifti(tmp_path / "x.nii.gz").affine, tilted.astype(np.float32))


def test_a_reoriented_view_is_written_at_its_place(ct, tmp_path):
    write_nifti(reorient(ct, "SRA"), tmp_path / "x.nii")
    back = reorient(read_nifti(tmp_path / "x.nii"), ct.orientation)
    assert np.array_equal(back.voxels, ct.voxels)
    assert back.on_same_grid_as(ct)


@pytest.mark.parametrize(
    ("given_dtype", "stored"),
    [
        (bool, np.uint8),
        (np.int64, np.int32),
        (np.float16, np.float32),
        (np.uint16, np.uint16),
        (">i2", np.int16),
    ],
)
def test_dtypes_that_files_do_not_keep_are_stored_in_the_nearest(tmp_path, given_dtype, stored):
    write_nifti(Volume(np.ones((2, 2, 2), dtype=given_dtype), np.eye(4)), tmp_path / "x.nii")
    back = read_nifti(tmp_path / "x.nii").voxels
    assert back.dtype == stored
    assert (back == 1).all()


def test_a_value_that_does_not_fit_is_refused_instead_of_wrapped(tmp_path):
    for voxels, dtype in ((np.full((2, 2, 2), 300), np.uint8), (np.full((2, 2, 2), np.nan), np.int16)):
        with pytest.raises(OutputError, match=r"x\.nii: voxels from .* do not fit"):
            write_nifti(Volume(voxels, np.eye(4)), tmp_path / "x.nii", dtype=dtype)
    assert list(tmp_path.iterdir()) == []


def test_floats_are_rounded_on_the_way_to_integers(tmp_path):
    write_nifti(Volume(np.full((2, 2, 2), 1.9999999), np.eye(4)), tmp_path / "x.nii", dtype=np.uint8)
    assert (read_nifti(tmp_path / "x.nii").voxels == 2).all()


def test_another_suffix_is_refused_on_writing(ct, tmp_path):
    with pytest.raises(OutputError, match=r"Name it \.nii\.gz"):
        write_nifti(ct, tmp_path / "x.txt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.oracle
@pytest.mark.parametrize("stored", [np.uint8, np.int16, np.float32])
def test_slope_and_intercept_are_applied_as_nibabel_does(tmp_path, stored):
    voxels = np.arange(24, dtype=stored).reshape(2, 3, 4)
    path = patched(save(tmp_path / "x.nii", voxels), 112, np.array([2.5, -1024], dtype=np.float32))
    ours = read_nifti(path).voxels
    assert ours.dtype == np.float32
    assert np.allclose(ours, nib.load(path).get_fdata())
    assert np.allclose(ours, voxels * 2.5 - 1024)


def test_float64_files_are_read_as_float32_and_big_endian_ones_as_native(tmp_path):
    assert read_nifti(save(tmp_path / "x.nii", np.ones((2, 2, 2)))).voxels.dtype == np.float32
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    image = nib.Nifti1Image(np.ones((2, 2, 2), dtype=np.int16), np.eye(4), header)
    nib.save(image, tmp_path / "y.nii")
    voxels = read_nifti(tmp_path / "y.nii").voxels
    assert voxels.dtype.isnative
    assert voxels.dtype == np.int16
    assert (voxels == 1).all()


@pytest.mark.parametrize("shape", [(3, 4, 5, 1), (3, 4, 5, 1, 1), (3, 4, 1)])
def test_trailing_axes_of_length_one_are_dropped(tmp_path, shape):
    voxels = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    back = read_nifti(save(tmp_path / "x.nii", voxels))
    assert back.shape == shape[:3]
    assert np.array_equal(back.voxels, voxels.reshape(shape[:3]))


@pytest.mark.parametrize(("shape", "reason"), [((8, 8), "three axes"), ((8, 8, 8, 3), "several scans")])
def test_what_is_not_one_scan_is_refused(tmp_path, shape, reason):
    with pytest.raises(GeometryError, match=rf"x\.nii: .*{reason}"):
        read_nifti(save(tmp_path / "x.nii", np.zeros(shape, dtype=np.int16)))


def test_a_spacing_of_zero_is_refused_even_where_nibabel_mends_it(tmp_path, capsys, caplog):
    image = nib.Nifti1Image(np.zeros((4, 4, 4), dtype=np.int16), np.eye(4))
    image.set_sform(None, code=0)
    image.set_qform(np.eye(4), code=1)
    nib.save(image, tmp_path / "x.nii")
    for spacing_mm in (0, np.nan, -1):
        path = patched(tmp_path / "x.nii", 88, np.array([spacing_mm], dtype=np.float32))
        with pytest.raises(GeometryError, match=r"x\.nii: voxel spacing is \S+ along axis 2.*Re-export"):
            read_nifti(path)
    assert capsys.readouterr().err == caplog.text == ""


@pytest.mark.parametrize(("column", "reason"), [((0, 0, 0), "spacing is 0"), ((1, 0, 0), "one plane")])
def test_an_sform_that_cannot_be_is_refused(tmp_path, column, reason):
    path = save(tmp_path / "x.nii", np.zeros((4, 4, 4), dtype=np.int16))
    for row, value in enumerate(column):
        patched(path, 280 + 16 * row + 4, np.array([value], dtype=np.float32))
    with pytest.raises(GeometryError, match=rf"x\.nii: .*{reason}"):
        read_nifti(path)


def test_an_sform_of_nan_is_refused(tmp_path):
    path = patched(save(tmp_path / "x.nii", np.zeros((4, 4, 4))), 280, np.array([np.nan], dtype=np.float32))
    with pytest.raises(GeometryError, match=r"x\.nii: .*finite"):
        read_nifti(path)


def test_a_header_without_orientation_is_read_with_a_warning(tmp_path, caplog):
    image = nib.Nifti1Image(np.zeros((4, 4, 4), dtype=np.int16), None)
    image.header.set_zooms((1, 2, 3))
    nib.save(image, tmp_path / "x.nii")
    with caplog.at_level(logging.WARNING):
        assert read_nifti(tmp_path / "x.nii").spacing_mm == (1, 2, 3)
    assert "left and right are a guess" in caplog.text


def test_colours_and_complex_numbers_are_refused(tmp_path):
    colours = np.zeros((4, 4, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    for voxels in (colours, np.zeros((4, 4, 4), dtype=np.complex64)):
        with pytest.raises(UnreadableError, match=r"x\.nii: the voxels are colours or complex"):
            read_nifti(save(tmp_path / "x.nii", voxels))


def test_a_header_that_promises_terabytes_is_refused_before_reading(tmp_path):
    path = save(tmp_path / "x.nii", np.zeros((4, 4, 4), dtype=np.int16))
    patched(path, 42, np.array([30000, 30000, 30000], dtype=np.int16))
    with pytest.raises(GeometryError, match=r"x\.nii: .*more than 2147483648 voxels"):
        read_nifti(path)
