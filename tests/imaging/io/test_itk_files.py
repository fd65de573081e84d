"""NRRD and MetaImage files that ITK reads wrongly without a word, or that end its process."""

import re
from pathlib import Path

import numpy as np
import pytest

from pancascade.errors import GeometryError, UnreadableError
from pancascade.imaging.io import read_itk, write_itk
from pancascade.imaging.volume import Volume

sitk = pytest.importorskip("SimpleITK")


@pytest.fixture
def scan() -> Volume:
    noise = np.random.default_rng(0).integers(-1000, 1000, (12, 10, 8)).astype(np.int16)
    return Volume(noise, np.diag([-1.0, -1.0, 2.0, 1.0]))


def detached(path: Path) -> Path:
    """The file of the voxels."""
    return next((one for one in path.parent.iterdir() if one != path), path)


@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd", ".nhdr"])
@pytest.mark.parametrize("place", [0.1, 0.5, 0.95])
def test_damaged_compressed_voxels_are_refused(scan, tmp_path, suffix, place):
    path = tmp_path / f"x{suffix}"
    image = sitk.GetImageFromArray(np.ascontiguousarray(scan.voxels.transpose()))
    image.SetSpacing((1.0, 1.0, 2.0))
    sitk.WriteImage(image, str(path), True)
    assert np.array_equal(read_itk(path).voxels, scan.voxels)
    voxels = detached(path)
    content = bytearray(voxels.read_bytes())
    begin = len(content) - 1500  # noise takes more than that, whatever the header
    content[begin + int(place * 1400)] ^= 4
    voxels.write_bytes(content)
    with pytest.raises(UnreadableError, match=rf"x\{suffix}: (its compressed voxels are damaged|.*ends too early)"):
        read_itk(path)


def test_compressed_voxels_that_are_none_are_refused(scan, tmp_path):
    path = tmp_path / "x.mha"
    sitk.WriteImage(sitk.GetImageFromArray(scan.voxels), str(path), False)
    path.write_bytes(path.read_bytes().replace(b"CompressedData = False", b"CompressedData = True"))
    with pytest.raises(UnreadableError, match=r"x\.mha: its compressed voxels are damaged"):
        read_itk(path)


@pytest.mark.parametrize("axes", [b"0", b"11", b"99", b"-1", b"2147483648", b"", b"three", b"\xb2"])
def test_axes_that_would_end_the_process_are_refused(scan, tmp_path, axes):
    path = changed(scan, tmp_path, b"NDims", axes)
    with pytest.raises(UnreadableError, match=r"x\.mha: this is not an NRRD or MetaImage file"):
        read_itk(path)


@pytest.mark.parametrize("place", [b"LIST", b"list", b"LIST 2", b"%s%s%n 1 8 1", b"slice%03d.raw 1 8 1"])
def test_voxels_in_several_files_are_refused(scan, tmp_path, place):
    path = changed(scan, tmp_path, b"ElementDataFile", place)
    with pytest.raises(UnreadableError, match=r"x\.mha: its voxels are in several files\. Export it as one"):
        read_itk(path)


@pytest.mark.parametrize("value", [b"0 0 nan", b"0 -inf 0", b"0 0 abc", b"1e400 0 0", b""])
@pytest.mark.parametrize(("field", "code"), [(b"Offset", "directions"), (b"ElementSpacing", "spacing")])
def test_a_grid_of_no_numbers_is_refused_where_itk_reads_zeros(scan, tmp_path, field, code, value):
    path = changed(scan, tmp_path, field, value)
    with pytest.raises(GeometryError, match=r"x\.mha: voxel .* not a number, the header is damaged") as refused:
        read_itk(path)
    assert refused.value.code == f"{code}_impossible"


def changed(scan: Volume, folder: Path, field: bytes, value: bytes) -> Path:
    path = folder / "x.mha"
    write_itk(scan, path)
    content, count = re.subn(field + rb" = [^\n]*", lambda _: field + b" = " + value, path.read_bytes(), count=1)
    assert count == 1
    path.write_bytes(content)
    return path
