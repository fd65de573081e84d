"""A mask as a graph whose cheapest paths run through its middle."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pancascade.imaging.volume import Box, Volume, crop, reorient, resample_onto

_HALF_OF_26 = [(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1) if (i, j, k) > (0, 0, 0)]


@dataclass(frozen=True, eq=False)
class MedialGraph:
    """Cells of a mask on a coarse isotropic grid, connected to their neighbours.

    Attributes:
        points_mm: (N, 3), RAS+ mm of the cells' centres.
        depth_mm: (N,), distance from each cell to the nearest one outside.
        lengths: Sparse (N, N), mm from cell to neighbouring cell.
        costs: Sparse (N, N), length divided by the squared depth: lowest in the middle.
    """

    points_mm: NDArray[np.float64]
    depth_mm: NDArray[np.float64]
    lengths: Any
    costs: Any

    def farthest_pair(self, start: int = 0) -> tuple[int, int]:
        """Return two cells with about the longest distance from each other inside the mask.

        Args:
            start: A cell of the component.
        """
        first = self._farthest_from(start)
        return first, self._farthest_from(first)

    def _farthest_from(self, start: int) -> int:
        from scipy.sparse.csgraph import dijkstra

        (distances,) = dijkstra(self.lengths, directed=False, indices=np.array([start]))
        distances[~np.isfinite(distances)] = -1
        return int(np.argmax(distances))

    def ways_from(self, start: int) -> NDArray[np.int32]:
        """Return (N,) the previous cell on the cheapest path from the start to each cell; negative if there is none."""
        from scipy.sparse.csgraph import dijkstra

        _, before = dijkstra(self.costs, directed=False, indices=np.array([start]), return_predecessors=True)
        return before[0]


def medial_graph(
    mask: Volume, *, spacing_mm: float, least_share: float = 0.0, bridge_mm: float = 0.0
) -> MedialGraph | None:
    """Make the graph of a mask.

    A cell of the coarse grid belongs to the mask if its centre does, or if it holds the centre of a voxel of the mask,
    so that thin parts are kept; holes are filled.

    Args:
        mask: Boolean (I, J, K), on any grid.
        spacing_mm: Edge of a cell.
        least_share: Components with fewer cells than this share of the largest one's are left out.
        bridge_mm: Components are joined to the rest at their nearest cells, over at most this gap; others are left
            out. 0 joins nothing, and leaves nothing out.

    Returns:
        The graph, or None for an empty mask.
    """
    cells = _coarse_cells(mask, spacing_mm)
    if cells is None:
        return None
    inside = ndimage.binary_fill_holes(cells.voxels)
    pieces, count = ndimage.label(inside, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    kept = np.flatnonzero(sizes >= least_share * sizes.max()) + 1
    inside = np.isin(pieces, kept)
    places = np.argwhere(inside)
    points_mm = places @ cells.affine[:3, :3].T + cells.affine[:3, 3]
    depth_mm = ndimage.distance_transform_edt(inside, sampling=cells.spacing_mm)[tuple(places.T)]
    first, second, steps_mm = _neighbours(inside, spacing_mm)
    if bridge_mm:
        bridges, joined = _bridges(points_mm, pieces[tuple(places.T)], bridge_mm)
        first, second, steps_mm = (
            np.concatenate(both) for both in zip((first, second, steps_mm), bridges, strict=True)
        )
        keep = np.flatnonzero(joined)
        number = np.full(len(places), -1)
        number[keep] = np.arange(len(keep))
        valid = joined[first] & joined[second]
        first, second, steps_mm = number[first[valid]], number[second[valid]], steps_mm[valid]
        points_mm, depth_mm = points_mm[keep], depth_mm[keep]
    return _graph(points_mm, depth_mm, (first, second, steps_mm))


def _coarse_cells(mask: Volume, spacing_mm: float) -> Volume | None:
    """Return the mask on an isotropic grid along the patient's axes, with a margin of one empty cell."""
    box = Box.around(mask.voxels)
    if box is None:
        return None
    # In one order of the axes, so that ties are decided equally however the scan is stored.
    inside = reorient(crop(mask, box))
    inside = inside.with_voxels((inside.voxels != 0).astype(np.uint8))
    low, high = (np.array(corner) for corner in box.corners_mm(mask.affine))
    shape = np.ceil((high - low) / spacing_mm - 1e-6).astype(int) + 2
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = (low + high) / 2 - (shape - 1) * spacing_mm / 2
    cells = resample_onto(inside, Volume(np.broadcast_to(np.uint8(0), tuple(shape.tolist())), affine), order=0)
    occupied = cells.voxels.astype(bool)
    centres_mm = np.argwhere(inside.voxels) @ inside.affine[:3, :3].T + inside.affine[:3, 3]
    holding = np.floor((centres_mm - affine[:3, 3]) / spacing_mm + 0.5).astype(int)
    occupied[tuple(holding.T)] = True
    return cells.with_voxels(occupied)


_Edges = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


def _neighbours(inside: NDArray[np.bool_], spacing_mm: float) -> _Edges:
    """Return pairs of 26-neighbours, each once, as indices of the voxels in order, with their distance in mm."""
    numbers = np.full(inside.shape, -1, np.int64)
    numbers[inside] = np.arange(np.count_nonzero(inside))
    found: list[_Edges] = []
    for step in _HALF_OF_26:
        from_ = numbers[tuple(slice(max(0, -s), size - max(0, s)) for s, size in zip(step, inside.shape, strict=True))]
        to = numbers[tuple(slice(max(0, s), size - max(0, -s)) for s, size in zip(step, inside.shape, strict=True))]
        both = (from_ >= 0) & (to >= 0)
        lengths = np.full(np.count_nonzero(both), spacing_mm * float(np.linalg.norm(step)))
        found.append((from_[both], to[both], lengths))
    first, second, lengths = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return first, second, lengths


def _bridges(points_mm: NDArray[np.float64], pieces: NDArray[Any], most_mm: float) -> tuple[_Edges, NDArray[np.bool_]]:
    """Return edges that join components to the largest one, the nearest first, and a mask of the joined points."""
    from scipy.spatial import KDTree

    left = set(np.unique(pieces).tolist())
    largest = int(np.argmax(np.bincount(pieces)))
    left.remove(largest)
    joined = pieces == largest
    bridges: list[tuple[int, int, float]] = []
    while left:
        at_home, away = np.flatnonzero(joined), np.flatnonzero(~joined)
        gaps, nearest = map(np.asarray, KDTree(points_mm[at_home]).query(points_mm[away]))
        shortest = int(np.argmin(gaps))
        if gaps[shortest] > most_mm:
            break
        bridges.append((int(at_home[nearest[shortest]]), int(away[shortest]), float(gaps[shortest])))
        piece = int(pieces[away[shortest]])
        joined |= pieces == piece
        left.remove(piece)
    first, second, gaps_mm = zip(*bridges, strict=True) if bridges else ((), (), ())
    edges = np.array(first, np.int64), np.array(second, np.int64), np.array(gaps_mm, np.float64)
    return edges, joined


def _graph(points_mm: NDArray[np.float64], depth_mm: NDArray[np.float64], edges: _Edges) -> MedialGraph:
    from scipy.sparse import csr_array

    first, second, lengths = edges
    both_ways = np.concatenate((first, second)), np.concatenate((second, first))
    weights = (depth_mm[first] ** -2.0 + depth_mm[second] ** -2.0) / 2
    shape = (len(points_mm), len(points_mm))
    return MedialGraph(
        points_mm,
        depth_mm,
        csr_array((np.tile(lengths, 2), both_ways), shape=shape),
        csr_array((np.tile(lengths * weights, 2), both_ways), shape=shape),
    )


def way_back(before: NDArray[np.int32], from_: int, *, until: Sequence[int] | NDArray[np.int64] = ()) -> list[int]:
    """Return the cells of a path, from its end back to its start, or to the first cell of a set.

    Args:
        before: Result of `MedialGraph.ways_from`.
        from_: The end of the path.
        until: Cells at which the path stops; the one reached is its last.
    """
    stops = set(np.asarray(until).tolist())
    way = [from_]
    while way[-1] not in stops and before[way[-1]] >= 0:
        way.append(int(before[way[-1]]))
    return way
