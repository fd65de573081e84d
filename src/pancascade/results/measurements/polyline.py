"""Lines in space as ordered points."""

import numpy as np
from numpy.typing import NDArray

Line = NDArray[np.float64]
"""(N, 3), RAS+ mm, N ≥ 2."""


def length_mm(line: Line) -> float:
    """Return the length of a line.

    Args:
        line: (N, 3), RAS+ mm.
    """
    return float(arc_lengths_mm(line)[-1])


def arc_lengths_mm(line: Line) -> NDArray[np.float64]:
    """Return (N,) the length along a line from its start to each of its points.

    Args:
        line: (N, 3), RAS+ mm.
    """
    return np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))))


def smooth(line: Line, *, step_mm: float, sigma_mm: float) -> Line:
    """Smooth a line that was found on a grid; its ends are kept.

    Args:
        line: (N, 3), RAS+ mm.
        step_mm: Approximate distance between the new points.
        sigma_mm: Standard deviation of the Gaussian along the line.

    Returns:
        (M, 3), evenly spaced, M ≥ 2.
    """
    from scipy.ndimage import gaussian_filter1d

    even = _evenly(line, step_mm)
    reach = len(even) - 1
    # Point reflection at the ends keeps them fixed and their direction free.
    padded = np.concatenate((2 * even[0] - even[:0:-1], even, 2 * even[-1] - even[-2::-1]))
    smoothed = gaussian_filter1d(padded, min(sigma_mm / step_mm, reach / 4), axis=0, mode="nearest")
    return _evenly(smoothed[reach : reach + len(even)], step_mm)


def nearest_share(point_mm: NDArray[np.float64], line: Line) -> float:
    """Return the position along a line of its point nearest to a given one, from 0 (start) to 1 (end).

    Args:
        point_mm: (3,), RAS+ mm.
        line: (N, 3), RAS+ mm.
    """
    starts, steps = line[:-1], np.diff(line, axis=0)
    squares = np.maximum((steps**2).sum(axis=1), 1e-12)
    along = np.clip(((point_mm - starts) * steps).sum(axis=1) / squares, 0, 1)
    gaps = np.linalg.norm(starts + along[:, None] * steps - point_mm, axis=1)
    nearest = int(np.argmin(gaps))
    ways = arc_lengths_mm(line)
    return float((ways[nearest] + along[nearest] * (ways[nearest + 1] - ways[nearest])) / max(ways[-1], 1e-12))


def _evenly(line: Line, step_mm: float) -> Line:
    ways = arc_lengths_mm(line)
    wanted = np.linspace(0, ways[-1], max(2, round(ways[-1] / step_mm) + 1))
    return np.column_stack([np.interp(wanted, ways, line[:, axis]) for axis in range(3)])
