"""Centre lines of a vessel and its branches."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pancascade.imaging.volume import Volume
from pancascade.results.measurements.medial_graph import MedialGraph, medial_graph, way_back
from pancascade.results.measurements.polyline import Line, arc_lengths_mm, length_mm, smooth

_CELL_MM = 1.5
_SMOOTHING_MM = 3.0
_SHORTEST_BRANCH_MM = 8.0
_RADIUS_WITHIN_MM = 10.0
_MOST_LINES = 12


def vessel_lines(vessel: Volume, *, step_mm: float = 1.0) -> list[Line]:
    """Return the centre lines of all components of a vessel, with trunk and branches as separate lines.

    The trunk is the cheapest path through the middle (see `MedialGraph.costs`) between the two cells farthest apart.
    Then, while a cell's distance to all lines exceeds 1.5 times the vessel's radius there plus 3 mm, a branch is added:
    the path from the farthest such cell to the lines, up to where it enters their radius. Branches shorter than 8 mm
    do not count. Near a free end the path turns to a corner of the vessel; there it is cut back by the radius and
    continued straight to the vessel's end. At most 12 lines.

    Args:
        vessel: Boolean (I, J, K), on any grid.
        step_mm: Distance between the points of a line.

    Returns:
        Lines (N, 3) in RAS+ mm; none for an empty mask or one of a few voxels.
    """
    graph = medial_graph(vessel, spacing_mm=_CELL_MM)
    if graph is None:
        return []
    found: list[Line] = []
    for cells in _pieces(graph):
        start, end = graph.farthest_pair(int(cells[0]))
        before = graph.ways_from(start)
        ways = [way_back(before, end)]
        if len(ways[0]) > 1:
            ways += _branches(graph, before, ways[0], cells)
        found += [_finished(graph, way, step_mm, trunk=way is ways[0]) for way in ways if len(way) > 1]
    return found[:_MOST_LINES]


def _pieces(graph: MedialGraph) -> list[NDArray[np.int64]]:
    """Return the cells of each connected component, the largest first."""
    from scipy.sparse.csgraph import connected_components

    count, labels = connected_components(graph.lengths, directed=False)
    return sorted((np.flatnonzero(labels == label) for label in range(count)), key=len, reverse=True)[:_MOST_LINES]


def _branches(
    graph: MedialGraph, before: NDArray[np.int32], trunk: list[int], cells: NDArray[np.int64]
) -> list[list[int]]:
    """Return the paths of the branches, each from its tip to where it enters the vessel of another line."""
    lines, radii_mm = list(trunk), _radii_along(graph, trunk)
    found: list[list[int]] = []
    uncovered = cells
    for _ in range(_MOST_LINES):
        beyond_mm = _beyond_mm(graph, uncovered, lines, 1.5 * radii_mm + 3)
        uncovered = uncovered[beyond_mm > 0]
        if not len(uncovered):
            break
        way = way_back(before, int(uncovered[np.argmax(beyond_mm[beyond_mm > 0])]), until=lines)[:-1]
        # A path beside a line within the same vessel is no branch.
        outside = np.flatnonzero(_beyond_mm(graph, np.array(way), lines, radii_mm) > 0)
        branch = way[: int(outside.max()) + 1]
        lines += way
        radii_mm = np.concatenate((radii_mm, _radii_along(graph, way)))
        if length_mm(graph.points_mm[branch]) >= _SHORTEST_BRANCH_MM:
            found.append(branch)
    return found


def _radii_along(graph: MedialGraph, way: list[int]) -> NDArray[np.float64]:
    """Return (N,) the largest depth within 10 mm along a path: near its ends a path is not in the middle."""
    reach = 2 * int(_RADIUS_WITHIN_MM / _CELL_MM) + 1
    return ndimage.maximum_filter1d(graph.depth_mm[way], reach, mode="nearest")


def _beyond_mm(
    graph: MedialGraph, cells: NDArray[np.int64], lines: list[int], radii_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (N,) how far cells lie outside tubes of given radii around lines, mm; below 0 inside."""
    from scipy.spatial import KDTree

    distances_mm, nearest = KDTree(graph.points_mm[lines]).query(graph.points_mm[cells])
    return distances_mm - radii_mm[nearest]


def _finished(graph: MedialGraph, way: list[int], step_mm: float, *, trunk: bool) -> Line:
    """Return a path as a smooth line with straight free ends; a branch has one free end, its first."""
    line = smooth(graph.points_mm[way], step_mm=step_mm, sigma_mm=_SMOOTHING_MM)
    ways_mm = arc_lengths_mm(line)
    depths = np.interp(ways_mm / ways_mm[-1], np.linspace(0, 1, len(way)), graph.depth_mm[way])
    line, depths = _straight_start(line, depths, graph, step_mm)
    if trunk:
        line, _ = _straight_start(line[::-1], depths[::-1], graph, step_mm)
    return line


def _straight_start(
    line: Line, depths_mm: NDArray[np.float64], graph: MedialGraph, step_mm: float
) -> tuple[Line, NDArray[np.float64]]:
    """Replace the first radius of a line by a straight line that continues to the end of the mask."""
    from scipy.spatial import KDTree

    inner = np.flatnonzero(arc_lengths_mm(line) >= depths_mm)
    if len(inner) == 0 or len(line) - inner[0] < 3:
        return line, depths_mm
    first = int(inner[0])
    behind = min(len(line) - 1, first + max(2, round(depths_mm[first] / step_mm)))
    outwards = line[first] - line[behind]
    outwards /= np.linalg.norm(outwards)
    most = int((depths_mm[first] * 2 + 3) / step_mm)
    extension = line[first] + np.arange(most, 0, -1)[:, None] * step_mm * outwards
    gaps_mm, _ = KDTree(graph.points_mm).query(extension)
    inside = gaps_mm <= _CELL_MM * np.sqrt(3) / 2
    start = len(inside) - int(np.argmin(np.append(inside[::-1], False)))
    extension = extension[start:]
    return np.concatenate((extension, line[first:])), np.concatenate(
        (np.full(len(extension), depths_mm[first]), depths_mm[first:])
    )
