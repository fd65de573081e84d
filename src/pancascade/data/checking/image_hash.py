"""Hashes that identify an image regardless of its file, grid, window and crop.

The hash of a scan is its landmarks: the positions where smoothed tissue differs most from its surround, and a small
patch of each. They do not change when a scan is exported again, resampled, windowed, or cropped along any axis;
`duplicates.py` compares them. The hash of an axial slice, whose spacing is often unknown, is a small image of its lean
tissue, scaled to the tissue's extent.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pancascade.imaging.volume import Volume, reorient, resample_to_spacing

LOWEST_HU, HIGHEST_HU = 0.0, 180.0
"""Range of tissue in every usual window; fat equals air, and bone equals bright contrast."""
GRID_MM = 4.0
LANDMARKS = 40
PATCH_SIDE, PATCH_STEP_MM = 4, 10.0
PICTURE_SIDE = 16

_FINE_MM, _BROAD_MM = 5.0, 8.0
_LEAN_HU = 15.0
_FAINTEST_HU = 2.0
_SLICE_SIDE, _BLUR, _BLURRED_LEAN_HU = 128, 0.04, 25.0
_SCAN, _SLICE = "scan1:", "slice1:"
_POSITION = np.dtype("<i2")
_PATCH_BYTES = PATCH_SIDE**3 // 2
_RECORD_BYTES = 3 * _POSITION.itemsize + _PATCH_BYTES


@dataclass(frozen=True)
class Landmarks:
    """The landmarks of a scan, strongest first.

    Attributes:
        size_mm: Extent of the scan to the patient's left–right, front–back, feet–head.
        places_mm: (N, 3) float32, positions from the scan's left, posterior, inferior corner.
        patches: (N, 4, 4, 4) float32, patch of each landmark: mean 0, norm 1.
    """

    size_mm: NDArray[np.float32]
    places_mm: NDArray[np.float32]
    patches: NDArray[np.float32]


def image_hash(volume: Volume) -> str:
    """Return a short text that identifies a CT under another name, on another grid, cropped or windowed.

    Args:
        volume: (I, J, K) Hounsfield units, any orientation and spacing.

    Returns:
        About 2 kB of text for CSV and JSON; ``scan1:`` and base64. Shorter with fewer landmarks.
    """
    tissue = _tissue(volume)
    fine = ndimage.gaussian_filter(tissue, _FINE_MM / GRID_MM, mode="nearest")
    broad = ndimage.gaussian_filter(tissue, _BROAD_MM / GRID_MM, mode="nearest")
    contrast = np.where(_lean(tissue), fine - broad, 0)
    places = _strongest(np.abs(contrast))
    offsets = (np.arange(PATCH_SIDE) - (PATCH_SIDE - 1) / 2) * PATCH_STEP_MM / GRID_MM
    steps = np.stack(np.meshgrid(offsets, offsets, offsets, indexing="ij")).reshape(1, 3, -1)
    seen = ndimage.map_coordinates(fine, (places[:, :, None] + steps).transpose(1, 0, 2), order=1, mode="nearest")
    size_mm = np.array(tissue.shape) * GRID_MM
    content = np.concatenate([size_mm[None], (places + 0.5) * GRID_MM]).round().astype(_POSITION)
    return _SCAN + base64.b64encode(content.tobytes() + _packed(seen)).decode("ascii")


def slice_hash(hu: NDArray[Any]) -> str:
    """Return a short text that identifies an axial slice in another file, size or window, or flipped.

    Args:
        hu: (H, W) Hounsfield units, as far as a picture's window shows them.

    Returns:
        About 180 characters; ``slice1:`` and base64. Only ``slice1:`` for an image without tissue.
    """
    factor = max(1, min(hu.shape) // _SLICE_SIDE)
    tissue = _block_means(hu, (factor, factor))
    # Blurred before the threshold, so that a table, a thin wall or noise does not move the centre.
    blurred = ndimage.gaussian_filter(tissue, _BLUR * min(tissue.shape), mode="constant")
    mass = np.maximum(blurred - _BLURRED_LEAN_HU, 0)
    if not mass.any():
        return _SLICE
    rows, columns = (_middle_and_spread(mass.sum(axis=1 - axis)) for axis in (0, 1))
    scale = np.array([rows[1], columns[1]]) / PICTURE_SIDE
    fine, broad = (ndimage.gaussian_filter(tissue, width * scale, mode="constant") for width in (2, 6))
    steps = (np.arange(PICTURE_SIDE) - (PICTURE_SIDE - 1) / 2) * 4 / PICTURE_SIDE
    places = np.meshgrid(*(middle + steps * spread for middle, spread in (rows, columns)), indexing="ij")
    seen = ndimage.map_coordinates(fine - broad, np.stack(places), order=1)
    return _SLICE + base64.b64encode(_packed(seen.reshape(1, -1))).decode("ascii")


def landmarks_of(text: str) -> Landmarks | None:
    """Return the landmarks of a scan's hash; None for any other text.

    Args:
        text: Text from `image_hash`.
    """
    content = _content(text, _SCAN)
    header = 3 * _POSITION.itemsize
    if content is None or len(content) < header or (len(content) - header) % _RECORD_BYTES:
        return None
    count = (len(content) - header) // _RECORD_BYTES
    places = np.frombuffer(content, _POSITION, 3 * (count + 1)).reshape(-1, 3).astype(np.float32)
    patches = _unpacked(content[places.size * _POSITION.itemsize :], PATCH_SIDE**3)
    return Landmarks(places[0], places[1:], patches.reshape(-1, PATCH_SIDE, PATCH_SIDE, PATCH_SIDE))


def picture_of(text: str) -> NDArray[np.float32] | None:
    """Return the small image of a slice's hash; None for any other text, and for a slice without tissue.

    Args:
        text: Text from `slice_hash`.

    Returns:
        (16, 16), mean 0, norm 1.
    """
    content = _content(text, _SLICE)
    if content is None or len(content) != PICTURE_SIDE**2 // 2:
        return None
    return _unpacked(content, PICTURE_SIDE**2).reshape(PICTURE_SIDE, PICTURE_SIDE)


def _tissue(volume: Volume) -> NDArray[np.float32]:
    """Return (I, J, K) in RAS on the coarse grid: mean HU, clipped to the range between fat and bone."""
    scan_lps = reorient(volume, "RAS")
    spacing = np.array(scan_lps.spacing_mm)
    factors = [min(max(1, int(GRID_MM / mm)), size) for mm, size in zip(spacing, scan_lps.shape, strict=True)]
    means = _block_means(scan_lps.voxels, tuple(factors))
    return resample_to_spacing(Volume(means, np.diag([*(spacing * factors), 1.0])), GRID_MM).voxels


def _block_means(hu: NDArray[Any], factors: tuple[int, ...]) -> NDArray[np.float32]:
    """Return means of the clipped values over blocks; incomplete blocks at the far end are left out."""
    shape = [size // factor for size, factor in zip(hu.shape, factors, strict=True)]
    means = np.zeros(shape, np.float32)
    for shift in np.ndindex(*factors):
        part = hu[tuple(slice(s, s + n * f, f) for s, n, f in zip(shift, shape, factors, strict=True))]
        means += np.clip(part, LOWEST_HU, HIGHEST_HU).astype(np.float32)
    return means / np.float32(np.prod(factors))


def _middle_and_spread(mass: NDArray[np.float32]) -> tuple[float, float]:
    """Return mean index and standard deviation of a profile."""
    share, index = mass / mass.sum(), np.arange(mass.size)
    middle = float(share @ index)
    return middle, max(1.0, float(np.sqrt(share @ (index - middle) ** 2)))


def _lean(tissue: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the largest component of muscle, organs and bone, without the table and objects on it."""
    pieces, count = ndimage.label(ndimage.binary_opening(tissue > _LEAN_HU))
    if count == 0:
        return np.zeros(tissue.shape, np.bool_)
    largest = int(np.argmax(np.bincount(pieces.ravel())[1:])) + 1
    return ndimage.binary_dilation(pieces == largest)


def _strongest(strength: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return (N, 3) voxel indices of the highest peaks, highest first, refined by a parabola along each axis."""
    inner = tuple(slice(1, max(1, size - 1)) for size in strength.shape)
    peaks = np.zeros(strength.shape, np.bool_)
    peaks[inner] = (ndimage.maximum_filter(strength, 3) == strength)[inner] & (strength[inner] > _FAINTEST_HU)
    found = np.argwhere(peaks)
    found = found[np.argsort(-strength[peaks], kind="stable")[:LANDMARKS]]
    places = found.astype(np.float64)
    for axis in range(3):
        step = np.eye(3, dtype=int)[axis]
        before, here, after = (strength[tuple((found + shift * step).T)].astype(np.float64) for shift in (-1, 0, 1))
        bend = np.minimum(before - 2 * here + after, -1e-6)
        places[:, axis] += np.clip((before - after) / (2 * bend), -0.5, 0.5)
    return places


def _packed(seen: NDArray[Any]) -> bytes:
    """Pack each row, centred and scaled to 16 steps, with two values per byte."""
    centred = seen - seen.mean(axis=1, keepdims=True)
    largest = np.maximum(np.abs(centred).max(axis=1, keepdims=True), 1e-6)
    steps = np.rint(centred / largest * 7.5 + 7.5).astype(np.uint8)
    return (steps[:, ::2] << 4 | steps[:, 1::2]).astype(np.uint8).tobytes()


def _unpacked(content: bytes, length: int) -> NDArray[np.float32]:
    pairs = np.frombuffer(content, np.uint8).reshape(-1, length // 2)
    steps = np.stack([pairs >> 4, pairs & 15], axis=-1).reshape(-1, length).astype(np.float32)
    centred = steps - steps.mean(axis=1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), np.float32(1e-6))


def _content(text: str, prefix: str) -> bytes | None:
    if not text.startswith(prefix):
        return None
    try:
        return base64.b64decode(text.removeprefix(prefix), validate=True)
    except (binascii.Error, ValueError):
        return None
