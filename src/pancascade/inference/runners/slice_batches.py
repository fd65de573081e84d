"""Batches of a volume's slices, and the hand-overs between and within them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pancascade.imaging.preprocessing import Canvas, Placement
from pancascade.imaging.preprocessing.neighbours import with_neighbours
from pancascade.imaging.preprocessing.network_grid import to_network_grid
from pancascade.imaging.volume import Box, Volume, highest, release
from pancascade.inference.backends.runnable_cascade import Handover
from pancascade.inference.localization.region_probabilities import ProbabilitySource
from pancascade.inference.localization.search_region import Stage1Result
from pancascade.inference.runners.finite_output import require_finite
from pancascade.inference.runners.half_precision import half_precision

BATCH_SLICES = 8


def parts_of(count: int) -> Iterator[slice]:
    """Yield the batches of that many slices, in order."""
    for start in range(0, count, BATCH_SLICES):
        yield slice(start, min(start + BATCH_SLICES, count))


def slices_on_network_grid(
    volume: Volume, placement: Placement, part: slice | list[int], *, canvas: Canvas
) -> NDArray[np.float32]:
    """Return slices of a volume on the network grid, (B, channels, H, W), with the neighbours that the canvas needs.

    Args:
        volume: Hounsfield units, oriented LPS.
        placement: Place of the slices on the network grid.
        part: Indices of the slices.
        canvas: The canvas.
    """
    count = volume.shape[2]
    if canvas.neighbours == 0:
        shown = np.ascontiguousarray(canvas.window.apply(volume.voxels[:, :, part].transpose(2, 1, 0)))[:, None]
    else:
        shown = with_neighbours(
            lambda index: canvas.window.apply(volume.voxels[:, :, index].T),
            list(range(count)[part]) if isinstance(part, slice) else part,
            count=count,
            slice_mm=volume.spacing_mm[2],
            canvas=canvas,
        )
    release(volume.voxels)
    return to_network_grid(shown, placement)


def interpolated(located: list[Handover], seen_slices: list[int], count: int) -> list[Handover]:
    """Interpolate linearly the maps of slices between those that stage 1 saw; return them in the usual batches."""
    seen = np.concatenate([found.probabilities for found in located])
    position = np.interp(np.arange(count), seen_slices, np.arange(len(seen_slices)))
    below = np.floor(position).astype(int)
    above = np.minimum(below + 1, len(seen_slices) - 1)
    share = (position - below).astype(np.float32)
    busy = Box.around(highest(seen, axis=(0, 1)) != 0)
    found = []
    for part in parts_of(count):
        maps = seen[below[part]]
        between = np.flatnonzero(share[part])
        if busy is not None and between.size:
            here = (slice(None), slice(None), *busy.slices)
            low, high = (seen[nearest[part][between]][here].astype(np.float32) for nearest in (below, above))
            mixed = low + (high - low) * share[part][between, None, None, None]
            maps[(between, slice(None), *busy.slices)] = half_precision(mixed)
        found.append(Handover(maps, ((),) * len(maps)))
    return found


def on_network_grid(
    probability_map: ProbabilitySource | None, part: slice, placement: Placement
) -> NDArray[np.float32] | None:
    """Return a given probability map in slices of a volume on the network grid, (B, 1, H, W)."""
    if probability_map is None:
        return None
    seen = probability_map(part.start, part.stop).transpose(2, 1, 0)
    return to_network_grid(np.ascontiguousarray(seen)[:, None], placement)


def stage1_result_on_grid(
    probabilities: NDArray[np.floating],
    placement: Placement,
    spacing_mm: tuple[float, float, float],
    *,
    whole_body: bool,
    is_mask: bool,
) -> Stage1Result:
    """Return stage 1's result in all slices of a volume, with the voxel size and the body's edges on stage 1's grid.

    Args:
        probabilities: (K, H, W) on the network grid, or on a coarser one.
        placement: Place of the slices on the network grid.
        spacing_mm: Voxel size of the volume.
        whole_body: Whether the volume spans the body.
        is_mask: See `Stage1Result`.
    """
    shrunk = placement.canvas[0] / probabilities.shape[1]
    body = None
    if whole_body:
        rows, columns = (
            (offset / shrunk, (offset + size) / shrunk)
            for offset, size in zip(placement.offset, placement.resized, strict=True)
        )
        body = (rows, columns)
    pixel_mm = [spacing_mm[1 - axis] * placement.native[axis] / placement.resized[axis] * shrunk for axis in (0, 1)]
    return Stage1Result(probabilities, (spacing_mm[2], pixel_mm[0], pixel_mm[1]), body, is_mask)


def stored(located: Handover) -> Handover:
    """Return the hand-over in half precision, as it is kept until all slices are located; NaN is refused."""
    return located.with_probabilities(require_finite(half_precision(located.probabilities), stage=1))
