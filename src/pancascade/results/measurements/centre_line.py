"""The centre line of the pancreas, from head to tail, and the part of the pancreas at a point."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pancascade.imaging.volume import Volume
from pancascade.results.measurements.medial_graph import medial_graph, way_back
from pancascade.results.measurements.polyline import Line, length_mm, nearest_share, smooth
from pancascade.results.measurements.table import Part

_CELL_MM = 2.0
_STEP_MM = 2.0
_SMOOTHING_MM = 6.0
_SHORTEST_MM = 10.0
"""A shorter line has no reliable direction."""

_LEAST_SHARE = 0.05
_LARGEST_GAP_MM = 40.0

HEAD_SHARE = 0.40
BODY_SHARE = 0.30


def centre_line(organ: Volume) -> Line | None:
    """Return the line through the middle of the pancreas, from the head's end to the tail's.

    The line runs on a grid of 2 mm between the two cells of the organ that are farthest apart inside it. It is the
    cheapest path if a step costs its length divided by the squared distance to the organ's border. It is then smoothed
    (Gaussian, 6 mm). Separate components are joined at their nearest cells, over at most 40 mm. Components smaller than
    a twentieth of the largest, or farther away, are left out. The head is the end that is farther to the patient's
    right and, at half the weight, lower.

    Args:
        organ: Boolean (I, J, K), pancreas with tumour, on any grid.

    Returns:
        (N, 3) RAS+ mm, a point about every 2 mm; None for an empty mask, or a line of 10 mm or less.
    """
    graph = medial_graph(organ, spacing_mm=_CELL_MM, least_share=_LEAST_SHARE, bridge_mm=_LARGEST_GAP_MM)
    if graph is None:
        return None
    start, end = graph.farthest_pair()
    way = way_back(graph.ways_from(start), end)
    if len(way) < 2:
        return None
    line = smooth(graph.points_mm[way], step_mm=_STEP_MM, sigma_mm=_SMOOTHING_MM)
    if length_mm(line) <= _SHORTEST_MM:
        return None
    return line if _headward(line[0]) >= _headward(line[-1]) else line[::-1].copy()


def part_of(point_mm: ArrayLike, line: Line, *, head_share: float = HEAD_SHARE, body_share: float = BODY_SHARE) -> Part:
    """Return the part of the pancreas at the point of the centre line that is nearest to a given point.

    Args:
        point_mm: (3,), RAS+ mm.
        line: (N, 3), from head to tail, by `centre_line`.
        head_share: Share of the line that is head, with uncinate process and neck.
        body_share: Share of the line that is body; the rest is tail.

    Raises:
        ValueError: The shares are not above 0, or leave nothing for the tail.
    """
    if not (head_share > 0 and body_share > 0 and head_share + body_share < 1):
        raise ValueError(
            f"head_share {head_share:g} and body_share {body_share:g} must be above 0 and below 1 together"
        )
    share = nearest_share(np.asarray(point_mm, np.float64), line)
    if share < head_share:
        return "head"
    return "body" if share < head_share + body_share else "tail"


def _headward(point_mm: NDArray[np.float64]) -> float:
    return float(point_mm[0] - point_mm[2] / 2)
