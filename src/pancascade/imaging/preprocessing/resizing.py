"""Bilinear resizing of images as in torch's ``interpolate``, with NumPy and SciPy only."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array


def resize(images: NDArray[np.float32], size: tuple[int, int], *, antialias: bool = False) -> NDArray[np.float32]:
    """Resize images as ``torch.nn.functional.interpolate(mode="bilinear", align_corners=False)`` does.

    Args:
        images: (..., h, w).
        size: New height and width.
        antialias: Where pixels become larger, average all old pixels that a new one covers, weighted.

    Returns:
        (..., *size) float32; the images themselves if they have this size.
    """
    native = (images.shape[-2], images.shape[-1])
    if size == native:
        return images
    rows, columns = (resizing_weights(*sides, antialias=antialias) for sides in zip(native, size, strict=True))
    return apply_weights(images, rows, columns)


def apply_weights(images: NDArray[np.float32], rows: csr_array, columns: csr_array) -> NDArray[np.float32]:
    """Return R X Cᵀ for each image X (h, w).

    Args:
        images: (..., h, w).
        rows: R, (H, h).
        columns: C, (W, w).

    Returns:
        (..., H, W) float32.
    """
    size = (rows.shape[0], columns.shape[0])
    resized = np.empty((*images.shape[:-2], *size), np.float32)
    flat = resized.reshape(-1, *size)
    for place, image in enumerate(images.reshape(-1, *images.shape[-2:])):
        # Both products run along contiguous rows.
        flat[place] = (columns @ np.ascontiguousarray((rows @ image.astype(np.float32, copy=False)).T)).T
    return resized


@lru_cache(maxsize=64)
def resizing_weights(source: int, target: int, *, antialias: bool = False) -> csr_array:
    """Return the weights (target, source) float32 of old pixels in each new one, along one axis; rows sum to 1.

    Args:
        source: Number of pixels before.
        target: Number of pixels after.
        antialias: See `resize`.
    """
    scale = source / target
    centres = (np.arange(target) + 0.5) * scale
    if antialias and scale > 1:
        width = int(np.ceil(scale)) * 2 + 1
        first = np.maximum((centres - scale + 0.5).astype(np.int64), 0)
        last = np.minimum((centres + scale + 0.5).astype(np.int64), source)
        places = first[:, None] + np.arange(width)
        weights = np.maximum(0, 1 - np.abs((places - centres[:, None] + 0.5) / scale))
        weights[places >= last[:, None]] = 0
        weights /= weights.sum(axis=1, keepdims=True)
        places = np.minimum(places, source - 1)
    else:
        from_edge = np.maximum(centres - 0.5, 0)
        below = np.minimum(from_edge.astype(np.int64), source - 1)
        share = from_edge - below
        places = np.stack([below, np.minimum(below + 1, source - 1)], axis=1)
        weights = np.stack([1 - share, share], axis=1)
    lines = np.repeat(np.arange(target), places.shape[1])
    found = csr_array((weights.ravel().astype(np.float32), (lines, places.ravel())), shape=(target, source))
    found.eliminate_zeros()
    return found
