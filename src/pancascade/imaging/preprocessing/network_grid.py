"""Slices drawn on their canvas, and taken off again."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pancascade.imaging.preprocessing.canvas import Placement
from pancascade.imaging.preprocessing.resizing import apply_weights, resize, resizing_weights

Value = TypeVar("Value", bound=np.generic)


def to_network_grid(images: NDArray[np.float32], placement: Placement) -> NDArray[np.float32]:
    """Images (N, C, h, w) on their canvas (N, C, H, W): bilinear, anti-aliased, 0 outside."""
    return _placed(resize(images, placement.resized, antialias=True), placement)


def labels_to_network_grid(labels: NDArray[np.uint8], placement: Placement) -> NDArray[np.uint8]:
    """Label maps (N, h, w) on their canvas (N, H, W): nearest neighbour, 0 outside."""
    rows, columns = (
        np.minimum(((np.arange(target) + 0.5) * (source / target)).astype(int), source - 1)
        for source, target in zip(placement.native, placement.resized, strict=True)
    )
    return _placed(labels[:, rows[:, None], columns], placement)


def _placed(maps: NDArray[Value], placement: Placement) -> NDArray[Value]:
    """Maps (..., *resized) on the canvas; what does not fit is cut."""
    canvas = np.zeros((*maps.shape[:-2], *placement.canvas), maps.dtype)
    there, here = _shared(placement)
    canvas[(..., *there)] = maps[(..., *here)]
    return canvas


def _shared(placement: Placement) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where the resized slice and the canvas overlap: rows and columns of the canvas, and of the slice."""
    on_canvas, of_slice = [], []
    for offset, size, side in zip(placement.offset, placement.resized, placement.canvas, strict=True):
        first, last = max(offset, 0), min(offset + size, side)
        on_canvas.append(slice(first, last))
        of_slice.append(slice(first - offset, last - offset))
    return (on_canvas[0], on_canvas[1]), (of_slice[0], of_slice[1])


def to_scan_grid(
    maps: NDArray[np.float32], placement: Placement, *, part: tuple[slice, slice] | None = None
) -> NDArray[np.float32]:
    """Maps (N, C, H, W) of the canvas back on the slices' own pixels (N, C, h, w), bilinear.

    Sizes in pixels decide, from ``placement.resized`` to ``placement.native``; the scan's spacing in mm was used once,
    to find the placement. The part of a slice that did not fit on the canvas gets 0.

    Args:
        maps: On the canvas.
        placement: Where the slices lie on it.
        part: Rows and columns of the slices that are wanted; None for all.
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
