"""What a validator and other projects' software say of DICOM results."""

import shutil
import subprocess

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from dicom_phantoms import SERIES, scan_and_mask
from test_rtstruct import structures, voxels_inside

from pancascade.errors import ScanError
from pancascade.imaging.io import find_source, identity_of, read_volume, write_dicom_seg, write_rtstruct

WRITERS = {"DICOM-SEG": write_dicom_seg, "RTSTRUCT": write_rtstruct}
needs_validator = pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
REAL = ["pancreatic_ct_cb_001", "fixtures/rtstruct_rt_utils", "fixtures/seg_dcmqi/23x38x3/image"]
REAL += ["fixtures/seg_dcmqi/23x38x3/multiframe", "fixtures/seg_dcmqi/24x38x3/image"]


def faults(path):
    said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    return [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]


def blob(shape):
    """A ball of pancreas with a tumour off its centre and a hole, in the middle of the scan."""
    i, j, k = (
        (index - size // 2) / max(3, size // 8) for index, size in zip(np.ogrid[*map(slice, shape)], shape, strict=True)
    )
    radius, from_tumour = np.sqrt(i**2 + j**2 + k**2), np.sqrt((i - 0.4) ** 2 + j**2 + k**2)
    return np.select([from_tumour < 0.15, from_tumour < 0.3, radius < 1], [0, 2, 1]).astype(np.uint8)


@needs_validator
@pytest.mark.oracle
@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("name", ["axial", "oblique", "sagittal", "enhanced", "enhanced in two files"])
def test_dciodvfy_finds_no_error(name, writer, tmp_path):
    path, _, mask = scan_and_mask(name, tmp_path / "series")
    source = find_source(path, series="3")
    for part, voxels in (("both", mask.voxels), ("pancreas", mask.voxels == 1), ("nothing", mask.voxels * 0)):
        WRITERS[writer](mask.with_voxels(voxels), tmp_path / part, source=source, model="m", version="0.1.0")
        assert faults(tmp_path / part) == []


@needs_validator
@pytest.mark.oracle
def test_dciodvfy_would_find_one(tmp_path):
    source = tmp_path / "series"
    SERIES["axial"](source)
    assert faults(source / "IM0001.dcm")


@needs_validator
@pytest.mark.shared
@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("name", REAL)
def test_dciodvfy_finds_no_error_in_results_on_real_series(name, writer, tmp_path, shared_data):
    scan = read_volume(shared_data / "dicom" / name)
    source = find_source(shared_data / "dicom" / name)
    result = tmp_path / "result.dcm"
    WRITERS[writer](scan.with_voxels(blob(scan.shape)), result, source=source, model="m", version="0.1.0")
    assert faults(result) == []


@pytest.mark.shared
@pytest.mark.parametrize("name", REAL)
def test_results_on_real_series_come_back_voxel_for_voxel(name, tmp_path, shared_data):
    path = shared_data / "dicom" / name
    scan, source = read_volume(path), find_source(path)
    mask = scan.with_voxels(blob(scan.shape))
    assert set(np.unique(mask.voxels)) == {0, 1, 2}
    write_dicom_seg(mask, tmp_path / "seg.dcm", source=source, model="m", version="0.1.0")
    volume = highdicom.seg.segread(tmp_path / "seg.dcm").get_volume(combine_segments=True)
    first = np.linalg.solve(scan.affine, np.array([*volume.affine[:3, 3] * (-1, -1, 1), 1]))[:3]
    steps = np.linalg.solve(scan.affine[:3, :3], volume.affine[:3, :3] * np.array([[-1], [-1], [1]]))
    index = np.rint(first[:, None] + steps @ np.indices(volume.spatial_shape).reshape(3, -1)).astype(int)
    assert np.array_equal(mask.voxels[tuple(index)], volume.array.ravel())
    assert np.count_nonzero(volume.array) == np.count_nonzero(mask.voxels)
    write_rtstruct(mask, tmp_path / "rt.dcm", source=source, model="m", version="0.1.0")
    found = structures(pydicom.dcmread(tmp_path / "rt.dcm"))
    assert np.array_equal(voxels_inside(found["Pancreas"], scan), mask.voxels > 0)
    assert np.array_equal(voxels_inside(found["Pancreas tumour"], scan), mask.voxels == 2)


@pytest.mark.shared
@pytest.mark.oracle
def test_itk_sees_a_real_mask_on_the_real_scan(tmp_path, shared_data):
    path = shared_data / "dicom" / "pancreatic_ct_cb_001"
    scan = read_volume(path)
    body = scan.with_voxels((scan.voxels > 150).astype(np.uint8))
    write_dicom_seg(body, tmp_path / "seg.dcm", source=find_source(path), model="m", version="0.1.0")
    image = sitk.ReadImage(str(tmp_path / "seg.dcm"))
    (folder,) = path.glob("201*")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    onto = sitk.Resample(image > 0, reader.Execute(), sitk.Transform(), sitk.sitkNearestNeighbor)
    assert np.array_equal(sitk.GetArrayFromImage(onto).transpose(), body.voxels)


@pytest.mark.shared
@pytest.mark.parametrize("folder", ["seg_highdicom", "seg_dcmqi", "rtstruct_rt_utils"])
def test_results_of_other_software_are_no_ct_either(folder, shared_data):
    place = shared_data / "dicom" / "fixtures" / folder
    known = [file for file in sorted(place.rglob("*")) if file.is_file() and ("seg" in file.name or "rt" in file.name)]
    assert known
    for file in known:
        if file.suffix not in (".dcm", ".seg"):
            continue
        with pytest.raises(ScanError):
            read_volume(file)


@pytest.mark.shared
def test_the_real_patient_is_named_as_in_the_archive(shared_data):
    identity = identity_of(find_source(shared_data / "dicom" / "pancreatic_ct_cb_001"))
    assert identity["patient_id"] == "Pancreas-CT-CB_001"
