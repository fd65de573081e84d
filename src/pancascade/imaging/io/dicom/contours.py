"""Outlines of a binary image as closed polygons that reproduce the image exactly.

The outline is the half-level line through the pixel centres: it passes midway between a pixel inside and its
neighbour outside. So a pixel is inside exactly if its centre is inside the polygon. The polygon of a region without
holes has the area of the region minus half a pixel. A hole is joined to the outside by a channel of no width
("keyhole", PS3.3 C.8.8.6.3), which runs midway between pixel centres and touches none of them.
"""

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from pancascade.imaging.volume import Box

Ring = npt.NDArray[np.float64]
# Points of each region, ring by closed ring, outer ring first; and the start index of each ring.
_Regions = tuple[list[Ring], list[npt.NDArray[np.uint32]]]


def outlines(picture: npt.NDArray[Any]) -> list[Ring]:
    """Return polygons that contain exactly the image's non-zero pixels; none lies within another.

    Args:
        picture: (rows, columns), non-zero inside.

    Returns:
        One (points, 2) of (column, row) per region, pixel centres at whole numbers; the last point is not the first
        again. Regions that touch at a corner may give one polygon or two.
    """
    import contourpy

    box = Box.around(picture)
    if box is None:
        return []
    # A border of zeros closes regions at the image's edge.
    inside = np.pad(picture[box.slices] != 0, 1).astype(np.float64)
    generator = contourpy.contour_generator(z=inside, fill_type=contourpy.FillType.OuterOffset)
    points, offsets = cast(_Regions, generator.filled(0.5, np.inf))
    offset = np.array([box.start[1] - 1, box.start[0] - 1])
    found: list[Ring] = []
    for region, starts in zip(points, offsets, strict=True):
        rings = [
            _without_needless_points(region[first : last - 1]) + offset
            for first, last in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
        ]
        found.append(_joined(rings[0], rings[1:]))
    return found


def _without_needless_points(ring: Ring) -> Ring:
    """Return the ring without points on a straight line between their neighbours."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    # All coordinates are multiples of a half, so this is exact.
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return ring[turns]


def _joined(outer: Ring, holes: list[Ring]) -> Ring:
    # From the top down, so that holes between a hole and the outside above it are already joined.
    keys = sorted(((_top(hole), hole) for hole in holes), key=lambda each: (each[0][1], each[0][0]))
    for top, hole in keys:
        outer = _with_hole(outer, hole, top)
    return outer


def _top(hole: Ring) -> tuple[float, float]:
    """Return the uppermost, then leftmost point beside a pixel; no pixel of the hole lies above it."""
    beside = hole[hole[:, 0] % 1 == 0.5]
    column, row = min(beside.tolist(), key=lambda point: (point[1], point[0]))
    return column, row


def _with_hole(outer: Ring, hole: Ring, top: tuple[float, float]) -> Ring:
    """Return the ring with a channel from `top` up to its next point above, around the hole, and back."""
    column, row = top
    edge, landing = _next_above(outer, column, row)
    begin = int(np.flatnonzero((hole == top).all(axis=1))[0])
    way = np.array([[column, landing]])
    return np.concatenate([outer[: edge + 1], way, hole[begin:], hole[: begin + 1], way, outer[edge + 1 :]])


def _next_above(outer: Ring, column: float, row: float) -> tuple[int, float]:
    """Return the edge (index of its first point) that a line upwards meets first, and the row there."""
    start, stop = outer, np.roll(outer, -1, axis=0)
    run = stop[:, 0] - start[:, 0]
    crossed = (np.minimum(start[:, 0], stop[:, 0]) <= column) & (np.maximum(start[:, 0], stop[:, 0]) >= column)
    share = np.divide(column - start[:, 0], run, out=np.zeros_like(run), where=run != 0)
    rows = start[:, 1] + share * (stop[:, 1] - start[:, 1])
    # The line meets the lower end of a vertical edge first, which another edge shares.
    rows = np.where(crossed & (rows < row), rows, -np.inf)
    edge = int(rows.argmax())
    return edge, float(rows[edge])
