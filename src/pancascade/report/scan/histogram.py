"""Histograms as positions and sizes of bars, drawn by the browser in pages that load nothing."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 420, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 12, 8, 20
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_MOST_BARS, _TICKS = 24, 6


class Bar(NamedTuple):
    """One bar: its position and size in the drawing, and its text."""

    x: float
    y: float
    width: float
    height: float
    text: str


class Histogram(NamedTuple):
    """Distribution of a number over many scans.

    Attributes:
        title: Title of the number, with its unit.
        scans: Number of scans that have it.
        median: Median over these scans.
        bars: Bars from low to high.
        ticks: Positions and labels below the axis.
        most: Number of scans in the highest bar.
    """

    title: str
    scans: int
    median: float
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str], ...]
    most: int


def make_histogram(
    title: str, values: Sequence[float], *, limits: tuple[float, float] | None = None
) -> Histogram | None:
    """Count values in bins of a round width.

    Args:
        title: Title of the number, with its unit.
        values: One for each scan, finite.
        limits: Limits of the axis; by default those of the values.

    Returns:
        The histogram; None without values.
    """
    if not values:
        return None
    numbers = np.asarray(values, np.float64)
    low, high = limits or (float(numbers.min()), float(numbers.max()))
    step = _round_step(high - low, count=len(numbers)) if high > low else max(abs(low), 1.0) / 10
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    edges = np.arange(first, last + 1) * step
    counts, _ = np.histogram(np.clip(numbers, edges[0], edges[-1]), edges)
    return Histogram(
        title, len(numbers), float(np.median(numbers)), _bars(counts, edges), _ticks(edges), int(counts.max())
    )


def _round_step(reach: float, *, count: int) -> float:
    """Return a round width that gives about the square root of the scans as number of bars, 8 to 24."""
    wanted = reach / min(_MOST_BARS, max(8, math.isqrt(count)))
    power = 10.0 ** math.floor(math.log10(wanted))
    return power * next(step for step in _STEPS if step * power >= wanted * (1 - 1e-9))


def _across(edge: float, edges: NDArray[np.floating[Any]]) -> float:
    share = (edge - edges[0]) / (edges[-1] - edges[0])
    return round(float(_LEFT + share * (WIDTH - _LEFT - _RIGHT)), 1)


def _bars(counts: NDArray[np.integer[Any]], edges: NDArray[np.floating[Any]]) -> tuple[Bar, ...]:
    full = HEIGHT - _TOP - _BOTTOM
    bars = []
    for count, low, high in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        left, right = _across(low, edges), _across(high, edges)
        height = round(full * count / max(int(counts.max()), 1), 1)
        text = f"{low:.4g} to {high:.4g}: {count}"
        bars.append(Bar(left, round(HEIGHT - _BOTTOM - height, 1), round(max(right - left - 1, 1), 1), height, text))
    return tuple(bars)


def _ticks(edges: NDArray[np.floating[Any]]) -> tuple[tuple[float, str], ...]:
    every = math.ceil((len(edges) - 1) / _TICKS)
    return tuple((_across(edge, edges), f"{edge:.4g}".replace("-", "−")) for edge in edges[::every].tolist())
