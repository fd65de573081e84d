"""Pair the lesions of two dates by their position in the organ, since patients lie differently on each date.

Positions are compared along and around the pancreas's centre line or, if one of the dates has none, relative to the
centre of the pancreas. Both are independent of where the patient lay, but not of a rotation of the body.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pancascade.results.measurements import Lesion, Part, Point
from pancascade.results.result import Result

Way = Literal["centre_line", "organ_centre", "scan"]

LEAST_REACH_MM = 20.0
"""Lesions match up to this distance, whatever their size."""

_ORDER: tuple[Part, ...] = ("head", "body", "tail")
_NEVER = 1e6


class Match(NamedTuple):
    """Two lesions that count as one.

    Attributes:
        earlier: Index in the earlier date's lesions.
        later: Index in the later date's lesions.
        distance_mm: Distance between their positions in the organ.
    """

    earlier: int
    later: int
    distance_mm: float


def match_lesions(earlier: Result, later: Result) -> tuple[list[Match], Way]:
    """Pair as many lesions as possible, with the least sum of distances.

    Two lesions may match if their distance is at most `LEAST_REACH_MM`, or half the 3-D diameter of the larger one, and
    if their parts are the same, neighbouring, or unknown.

    Args:
        earlier: Result of the earlier date.
        later: Result of the later date.

    Returns:
        The pairs, in the earlier date's order; and the kind of positions that was compared. ``scan`` means the
        scanner's coordinates, where a date has no pancreas.
    """
    first, second = earlier.pancreas_and_lesions.lesions, later.pancreas_and_lesions.lesions
    places, way = _places(earlier, later)
    if not first or not second:
        return [], way
    distances = np.linalg.norm(places[0][:, None] - places[1][None], axis=-1)
    allowed = np.array(
        [
            [distances[i, j] <= _reach(a, b) and _near(a.part, b.part) for j, b in enumerate(second)]
            for i, a in enumerate(first)
        ]
    )
    rows, columns = linear_sum_assignment(np.where(allowed, distances, _NEVER))
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [Match(i, j, float(distances[i, j])) for i, j in pairs if allowed[i, j]], way


def _reach(first: Lesion, second: Lesion) -> float:
    return max(LEAST_REACH_MM, first.diameter_3d_mm / 2, second.diameter_3d_mm / 2)


def _near(first: Part | None, second: Part | None) -> bool:
    return first is None or second is None or abs(_ORDER.index(first) - _ORDER.index(second)) <= 1


def _places(earlier: Result, later: Result) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], Way]:
    """Return comparable positions of both dates' lesions, (N, 3) or (N, 4) in mm, and what they are relative to."""
    dates = (earlier, later)
    points = [
        np.array([lesion.centroid_mm for lesion in date.pancreas_and_lesions.lesions]).reshape(-1, 3) for date in dates
    ]
    lines = [_centre_line(date) for date in dates]
    if all(line is not None for line in lines):
        lengths = [float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum()) for line in lines if line is not None]
        length = sum(lengths) / 2
        found = [
            along(of_date, line, length_mm=length)
            for of_date, line in zip(points, lines, strict=True)
            if line is not None
        ]
        return (found[0], found[1]), "centre_line"
    centres = [_organ_centre(date) for date in dates]
    if all(centre is not None for centre in centres):
        return (points[0] - np.array(centres[0]), points[1] - np.array(centres[1])), "organ_centre"
    return (points[0], points[1]), "scan"


def _centre_line(result: Result) -> NDArray[np.float64] | None:
    """Return (N, 3) points from head to tail; None for fewer than two points, or all at one position."""
    organ = result.pancreas_and_lesions.organ
    if organ is None or len(organ.centre_line_mm) < 2:
        return None
    line = np.array(organ.centre_line_mm)
    return line if np.linalg.norm(np.diff(line, axis=0), axis=1).sum() > 0 else None


def _organ_centre(result: Result) -> Point | None:
    """Return the centre of the box around the pancreas with its tumours."""
    box = result.measurements.get("pancreas_with_tumour", {}).get("box_mm")
    if not isinstance(box, dict):
        return None
    low, high = box["min"], box["max"]
    return (low[0] + high[0]) / 2, (low[1] + high[1]) / 2, (low[2] + high[2]) / 2


def along(points_mm: NDArray[np.float64], line_mm: NDArray[np.float64], *, length_mm: float) -> NDArray[np.float64]:
    """Return positions relative to a centre line.

    Args:
        points_mm: (N, 3) RAS+.
        line_mm: (M, 3), from head to tail.
        length_mm: Length to which the line is scaled, so that lines of two dates can be compared.

    Returns:
        (N, 4): position along the line of the nearest point, and the vector from there to the point.
    """
    steps = np.diff(line_mm, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    starts = np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    places = np.empty((len(points_mm), 4))
    for row, point in enumerate(points_mm):
        shares = np.einsum("md,md->m", point - line_mm[:-1], steps) / np.maximum(lengths**2, 1e-12)
        shares = np.clip(shares, 0, 1)
        nearest = line_mm[:-1] + shares[:, None] * steps
        best = int(np.argmin(np.linalg.norm(point - nearest, axis=1)))
        way = starts[best] + shares[best] * lengths[best]
        places[row] = [way / lengths.sum() * length_mm, *(point - nearest[best])]
    return places
