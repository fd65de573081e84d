import re
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from pancascade.errors import GeometryError, OutputError, UnreadableError
from pancascade.imaging.io import read_itk, read_nifti, read_volume, write_itk, write_volume
from pancascade.imaging.volume import Volume


@pytest.fixture
def oblique(ct: Volume) -> Volume:
    turn = nib.eulerangles.euler2mat(0.2, -0.1, 0.3)
    affine = nib.affines.from_matvec(turn @ np.diag([-0.8, 0.9, -2.5]), (12.5, -80, 33.25))
    return Volume(ct.voxels[:20, :30], affine)


def metaimage(path: Path, size=(6, 5, 4)) -> Path:
    sitk.WriteImage(sitk.Image(size, sitk.sitkInt16), str(path))
    return path


@pytest.mark.oracle
@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".mha", ".mhd"])
def test_itks_own_nifti_of_the_same_image_is_read_the_same(oblique, tmp_path, suffix):
    image = sitk.GetImageFromArray(oblique.voxels.transpose(2, 1, 0))
    image.SetSpacing((0.8, 0.9, 2.5))
    image.SetDirection((np.diag([-1, -1, 1]) @ oblique.affine[:3, :3] / (0.8, 0.9, 2.5)).ravel().tolist())
    image.SetOrigin((-12.5, 80, 33.25))
    for name in (f"x{suffix}", "x.nii.gz"):
        sitk.WriteImage(image, str(tmp_path / name))
    ours, nifti = read_itk(tmp_path / f"x{suffix}"), read_nifti(tmp_path / "x.nii.gz")
    assert ours.voxels.dtype == nifti.voxels.dtype == np.int16
    assert np.array_equal(ours.voxels, nifti.voxels)
    assert ours.on_same_grid_as(nifti)
    assert ours.on_same_grid_as(oblique, tolerance_mm=1e-9)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.float32, np.longdouble])
def test_writing_then_reading_gives_back_the_scan(oblique, tmp_path, suffix, dtype):
    scan = oblique.with_voxels(oblique.voxels.astype(dtype))
    write_itk(scan, tmp_path / f"x{suffix}")
    back = read_itk(tmp_path / f"x{suffix}")
    assert back.voxels.dtype == {bool: np.uint8, np.longdouble: np.float32}.get(dtype, dtype)
    assert np.array_equal(back.voxels, scan.voxels)
    assert back.on_same_grid_as(scan, tolerance_mm=1e-9)
    assert [file.name for file in tmp_path.iterdir()] == [f"x{suffix}"]


def test_a_fourth_axis_of_length_one_is_dropped(tmp_path):
    assert read_itk(metaimage(tmp_path / "x.mha", (6, 5, 4, 1))).shape == (6, 5, 4)


@pytest.mark.parametrize(("size", "reason"), [((6, 5), "three axes"), ((6, 5, 4, 2), "several scans")])
def test_what_is_not_one_scan_is_refused(tmp_path, size, reason):
    with pytest.raises(GeometryError, match=rf"x\.mha: .*{reason}"):
        read_itk(metaimage(tmp_path / "x.mha", size))


def test_colours_are_refused(tmp_path):
    sitk.WriteImage(sitk.Image((4, 4, 4), sitk.sitkVectorUInt8, 3), str(tmp_path / "x.nrrd"))
    with pytest.raises(GeometryError, match="channels in one file"):
        read_itk(tmp_path / "x.nrrd")


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        (b"ElementSpacing", b"1 0 1", "spacing is 0 or not a number"),
        (b"ElementSpacing", b"nan 1 1", "spacing is 0 or not a number"),
        (b"TransformMatrix", b"1 0 0 1 0 0 0 0 1", "one plane"),
    ],
)
def test_an_impossible_grid_is_refused(tmp_path, field, value, reason):
    path = metaimage(tmp_path / "x.mha")
    path.write_bytes(re.sub(field + rb" = [^\n]*", field + b" = " + value, path.read_bytes()))
    with pytest.raises(GeometryError, match=rf"x\.mha: .*{reason}.*Re-export"):
        read_itk(path)


@pytest.mark.parametrize("suffix", [".mha", ".nrrd", ".mhd", ".nhdr"])
def test_text_and_truncated_files_are_refused(ct, tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_text("hello")
    with pytest.raises(UnreadableError, match=rf"x\{suffix}: this is not an NRRD or MetaImage file"):
        read_itk(path)
    if suffix in (".mha", ".nrrd"):
        write_itk(ct, path)
        path.write_bytes(path.read_bytes()[:-2000])
        with pytest.raises(UnreadableError, match="ends too early"):
            read_itk(path)


def test_a_missing_data_file_is_refused(tmp_path):
    path = metaimage(tmp_path / "x.mhd")
    (tmp_path / "x.raw").unlink()
    with pytest.raises(UnreadableError, match="data file is missing"):
        read_itk(path)


def test_without_simple_itk_the_sentence_says_what_to_install(ct, tmp_path, monkeypatch):
    path = metaimage(tmp_path / "x.mha")
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(UnreadableError, match=r"pip install 'pancascade\[itk\]'"):
        read_volume(path)
    with pytest.raises(OutputError, match=r"pip install 'pancascade\[itk\]'"):
        write_volume(ct, path)


def test_what_the_formats_cannot_say_is_refused_on_writing(ct, tmp_path):
    tilted = ct.affine.copy()
    tilted[1, 2] = 1.3
    with pytest.raises(OutputError, match=r"sheared.*\.nii\.gz"):
        write_itk(Volume(ct.voxels, tilted), tmp_path / "x.mha")
    for name in ("x.mhd", "x.nhdr", "x.what", "x.MHA"):
        with pytest.raises(OutputError, match=r"Name it \.mha or \.nrrd"):
            write_itk(ct, tmp_path / name)
    assert list(tmp_path.iterdir()) == []
