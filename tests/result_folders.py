"""A result folder as `segment --out` leaves it, without a network: a scan, its mask, result.json."""

import gzip

import nibabel as nib
import numpy as np

from pancascade.files.digests import content_digest
from pancascade.imaging.io import write_volume
from pancascade.imaging.volume import Volume
from pancascade.imaging.volume.digest import volume_digest
from pancascade.results.result import Result, ScanGrid, write_result

SHAPE = (9, 8, 5)


def oblique(shape=SHAPE):
    """An affine with turned axes, the first mirrored, at an angle to all planes."""
    angle = np.radians(27)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    tilt = np.array([[1, 0, 0], [0, np.cos(0.2), -np.sin(0.2)], [0, np.sin(0.2), np.cos(0.2)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ tilt @ np.diag([-1.2, 1.5, 2.5])
    affine[:3, 3] = (31.7, -118.2, 402.9)
    return affine


def labels(shape=SHAPE):
    """A pancreas with a tumour inside, unlike any mirror image of itself."""
    drawn = np.zeros(shape, np.uint8)
    drawn[1:6, 2:7, 1:3] = 1
    drawn[2:4, 3:5, 1] = 2
    return drawn


def write_scan(path, *, affine=None, seed=0, hu=None):
    hu = np.random.default_rng(seed).integers(-200, 200, SHAPE).astype(np.int16) if hu is None else hu
    volume = Volume(hu, oblique() if affine is None else affine, path)
    write_volume(volume, path)
    return volume


def make_result(folder, *, affine=None, scan_beside=True, seed=0, name="scan.nii.gz", hu=None, mask=None):
    """The folder of a result and its scan."""
    folder.mkdir(parents=True, exist_ok=True)
    scan = write_scan(folder / "scan.nii.gz", affine=affine, seed=seed, hu=hu)
    mask = scan.with_voxels(labels() if mask is None else mask)
    write_volume(mask, folder / "segmentation.nii.gz")
    if not scan_beside:
        (folder / "scan.nii.gz").unlink()
    result = Result(
        scan=name,
        scan_digest=volume_digest(scan),
        model="stub",
        measurements={},
        grid=ScanGrid(shape=scan.shape, affine=scan.affine.tolist()),
        files={"segmentation.nii.gz": content_digest(folder / "segmentation.nii.gz")},
    )
    write_result(result, folder / "result.json")
    return folder, scan


def packed(voxels, affine):
    """A label map as a viewer sends it."""
    return gzip.compress(nib.Nifti1Image(voxels, affine).to_bytes())


def edited(voxels=None):
    """The labels with one voxel more."""
    changed = labels() if voxels is None else voxels.copy()
    changed[6, 2, 1] = 1
    return changed


def unpacked(path):
    return np.asarray(nib.load(path).dataobj)
