"""Resampling of slices to the network grid (canvas) and back to the scan grid."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pancascade.imaging.preprocessing.canvas import Placement
from pancascade.imaging.preprocessing.resizing import apply_weights, resize, resizing_weights

Value = TypeVar("Value", bound=np.generic)


def to_network_grid(images: NDArray[np.float32], placement: Placement) -> NDArray[np.float32]:
    """Resample images (N, C, h, w) to their canvas (N, C, H, W): bilinear, anti-aliased, 0 outside."""
    return _placed(resize(images, placement.resized, antialias=True), placement)


def labels_to_network_grid(labels: NDArray[np.uint8], placement: Placement) -> NDArray[np.uint8]:
    """Resample label maps (N, h, w) to their canvas (N, H, W): nearest neighbour, 0 outside."""
    rows, columns = (
        np.minimum(((np.arange(target) + 0.5) * (source / target)).astype(int), source - 1)
        for source, target in zip(placement.native, placement.resized, strict=True)
    )
    return _placed(labels[:, rows[:, None], columns], placement)


def _placed(maps: NDArray[Value], placement: Placement) -> NDArray[Value]:
    """Copy maps (..., *resized) onto the canvas; parts that do not fit are cut."""
    canvas = np.zeros((*maps.shape[:-2], *placement.canvas), maps.dtype)
    there, here = _shared(placement)
    canvas[(..., *there)] = maps[(..., *here)]
    return canvas


def _shared(placement: Placement) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return rows and columns where the resized slice and the canvas overlap: on the canvas, and on the slice."""
    on_canvas, of_slice = [], []
    for offset, size, side in zip(placement.offset, placement.resized, placement.canvas, strict=True):
        first, last = max(offset, 0), min(offset + size, side)
        on_canvas.append(slice(first, last))
        of_slice.append(slice(first - offset, last - offset))
    return (on_canvas[0], on_canvas[1]), (of_slice[0], of_slice[1])


def to_scan_grid(
    maps: NDArray[np.float32], placement: Placement, *, part: tuple[slice, slice] | None = None
) -> NDArray[np.float32]:
    """Resample maps (N, C, H, W) from the canvas to the slices' own pixels (N, C, h, w), bilinear.

    It scales by sizes in pixels, from ``placement.resized`` to ``placement.native``; only the placement used the
    scan's spacing in mm. Parts of a slice that did not fit on the canvas get 0.

    Args:
        maps: Maps on the canvas.
        placement: Position of the slices on the canvas.
        part: Rows and columns of the slices to return; None for all.
    """
    wanted = part or (slice(None), slice(None))
    there, here = _shared(placement)
    seen = maps[(..., *there)]
    if placement.resized == placement.native:
        found = np.zeros((*maps.shape[:-2], *placement.native), np.float32)
        found[(..., *here)] = seen
        return found[(..., *wanted)]
    rows, columns = (
        resizing_weights(resized, native)[chosen][:, inside]
        for resized, native, chosen, inside in zip(placement.resized, placement.native, wanted, here, strict=True)
    )
    return apply_weights(seen, rows, columns)
