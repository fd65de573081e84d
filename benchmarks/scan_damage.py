"""Damage a scan and its reference on purpose, in ways that occur in real scans."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pancascade.imaging.volume import Volume

AIR_HU = -1000
SCAN_SLICE_MM = 3.0
"""Scans with thinner slices are measured on every n-th slice, which takes an n-th of the time."""

Damage = Callable[[Volume, NDArray[np.uint8]], tuple[Volume, NDArray[np.uint8]]]
"""Function of an LPS-oriented scan (I, J, K) and its labels that returns both; the affine does not change."""


def as_it_is(scan: Volume, labels: NDArray[np.uint8]) -> tuple[Volume, NDArray[np.uint8]]:
    """Return the scan without damage."""
    return scan, labels


def thinned(scan: Volume, labels: NDArray[np.uint8]) -> tuple[Volume, NDArray[np.uint8]]:
    """Return every n-th slice, so that slices are about `SCAN_SLICE_MM` apart."""
    step = max(1, round(SCAN_SLICE_MM / scan.spacing_mm[2]))
    affine = np.array(scan.affine)
    affine[:3, 2] *= step
    return Volume(scan.voxels[:, :, ::step], affine), labels[:, :, ::step]


def noisy(
    scan: Volume, labels: NDArray[np.uint8], *, sigma_hu: float, seed: int = 0
) -> tuple[Volume, NDArray[np.uint8]]:
    """Add white noise inside the patient, different in each slice."""
    noise = np.random.default_rng(seed).normal(0, sigma_hu, scan.shape)
    return scan.with_voxels(_hu(np.where(scan.voxels > -500, scan.voxels + noise, scan.voxels))), labels


def brighter(scan: Volume, labels: NDArray[np.uint8], *, by_hu: float) -> tuple[Volume, NDArray[np.uint8]]:
    """Shift soft tissue and blood by this value, as in another contrast phase; fat and air do not change."""
    share = np.clip(scan.voxels / 40.0, 0, 1)
    return scan.with_voxels(_hu(scan.voxels + by_hu * share)), labels


def intercept_wrong(scan: Volume, labels: NDArray[np.uint8], *, by_hu: float) -> tuple[Volume, NDArray[np.uint8]]:
    """Shift all values by this value."""
    return scan.with_voxels(_hu(scan.voxels + by_hu)), labels


def turned(scan: Volume, labels: NDArray[np.uint8], *, degrees: float) -> tuple[Volume, NDArray[np.uint8]]:
    """Rotate each axial slice about its centre."""
    angle = np.deg2rad(degrees)
    return _moved(scan, labels, np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]))


def zoomed(scan: Volume, labels: NDArray[np.uint8], *, times: float) -> tuple[Volume, NDArray[np.uint8]]:
    """Scale axial slices by this factor, with unchanged spacing."""
    return _moved(scan, labels, np.eye(2) / times)


def shifted(
    scan: Volume, labels: NDArray[np.uint8], *, left_mm: float, back_mm: float
) -> tuple[Volume, NDArray[np.uint8]]:
    """Shift the patient in the image; parts outside are cut off."""
    steps = (left_mm / scan.spacing_mm[0], back_mm / scan.spacing_mm[1])
    return _moved(scan, labels, np.eye(2), (-steps[0], -steps[1]))


def mirrored(scan: Volume, labels: NDArray[np.uint8], *, axis: int) -> tuple[Volume, NDArray[np.uint8]]:
    """Flip the voxels along an axis, with the same affine."""
    return scan.with_voxels(np.flip(scan.voxels, axis)), np.flip(labels, axis)


def padded(scan: Volume, labels: NDArray[np.uint8]) -> tuple[Volume, NDArray[np.uint8]]:
    """Make the field of view 1.8 times as large in each direction, with the patient in a corner."""
    widths = [(0, int(0.8 * scan.shape[0])), (0, int(0.8 * scan.shape[1])), (0, 0)]
    voxels = np.pad(scan.voxels, widths, constant_values=AIR_HU)
    return Volume(voxels, scan.affine), np.pad(labels, widths)


def with_arms_and_table(scan: Volume, labels: NDArray[np.uint8]) -> tuple[Volume, NDArray[np.uint8]]:
    """Add arms of 9 cm beside the body and a table of 3 cm at its back, in a wider field of view."""
    beside = round(110 / scan.spacing_mm[0])
    widths = [(beside, beside), (0, round(60 / scan.spacing_mm[1])), (0, 0)]
    voxels, labels = np.pad(scan.voxels, widths, constant_values=AIR_HU), np.pad(labels, widths)
    left_mm = np.arange(voxels.shape[0])[:, None] * scan.spacing_mm[0]
    back_mm = np.arange(voxels.shape[1])[None, :] * scan.spacing_mm[1]
    added = np.full(voxels.shape[:2], AIR_HU, np.int16)
    for centre_mm in (60.0, left_mm.max() - 60.0):
        off_mm = np.hypot(left_mm - centre_mm, back_mm - back_mm.max() / 2)
        added[off_mm < 45] = 40
        added[off_mm < 12] = 600
    added[60:-60, -round(45 / scan.spacing_mm[1]) : -round(15 / scan.spacing_mm[1])] = -150
    affine = np.array(scan.affine)
    affine[:3, 3] -= beside * affine[:3, 0]
    return Volume(np.maximum(voxels, added[:, :, None]), affine), labels


IN_PLANE: dict[str, Damage] = {
    "as it is": as_it_is,
    "noise of 20 HU": partial(noisy, sigma_hu=20),
    "noise of 40 HU": partial(noisy, sigma_hu=40),
    "soft tissue 30 HU darker": partial(brighter, by_hu=-30),
    "soft tissue 30 HU brighter": partial(brighter, by_hu=30),
    "turned by 10°": partial(turned, degrees=10),
    "turned by 20°": partial(turned, degrees=20),
    "turned by 30°": partial(turned, degrees=30),
    "zoomed 0.8": partial(zoomed, times=0.8),
    "zoomed 1.25": partial(zoomed, times=1.25),
    "shifted 60 mm left, 30 mm back": partial(shifted, left_mm=60, back_mm=30),
    "mirrored left-right": partial(mirrored, axis=0),
}
"""Damages for stacks of slices and whole scans."""

OF_SCANS: dict[str, Damage] = {
    "arms and table": with_arms_and_table,
    "feet and head exchanged": partial(mirrored, axis=2),
    "front and back exchanged": partial(mirrored, axis=1),
    "patient in a corner": padded,
    "intercept 100 HU too high": partial(intercept_wrong, by_hu=100),
}
"""Damages only for whole scans."""


def _moved(
    scan: Volume,
    labels: NDArray[np.uint8],
    matrix: NDArray[np.float64],
    offset_vox: tuple[float, float] = (0.0, 0.0),
) -> tuple[Volume, NDArray[np.uint8]]:
    """Resample axial slices with a plane map about their centre, from the new grid to the old grid, in mm."""
    spacing = np.array(scan.spacing_mm[:2])
    in_vox = matrix * spacing[None, :] / spacing[:, None]
    middle = (np.array(scan.shape[:2]) - 1) / 2
    offset = middle - in_vox @ middle + np.array(offset_vox)
    voxels, mask = np.empty_like(scan.voxels), np.empty_like(labels)
    for k in range(scan.shape[2]):
        voxels[:, :, k] = ndimage.affine_transform(scan.voxels[:, :, k], in_vox, offset, order=1, cval=AIR_HU)
        mask[:, :, k] = ndimage.affine_transform(labels[:, :, k], in_vox, offset, order=0)
    return scan.with_voxels(voxels), mask


def _hu(values: NDArray[Any]) -> NDArray[np.int16]:
    return np.rint(np.clip(values, -1024, 3071)).astype(np.int16)
