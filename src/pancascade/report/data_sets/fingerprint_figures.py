"""Figures of a data set's fingerprint: distributions, Hounsfield units by tissue, organ positions, lesion sizes."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pancascade.report.figures import ACCENT, INK, PALE, new_figure, shorten

COLOURS = (ACCENT, "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Colours of the parts of a split."""

_WIDTH, _MOST_BINS = 10.0, 24
_GRID = "#e4e9ee"

Values = Mapping[str, Sequence[float]]
"""Numbers of the cases, by part of the split."""


class Curve(NamedTuple):
    """A histogram of Hounsfield units: share of the voxels in each HU, from first_hu on."""

    first_hu: int
    shares: Sequence[float]
    colour: str


def draw_spreads(panels: Mapping[str, Values]) -> Figure:
    """Draw one histogram a panel; parts of a split are drawn as outlines of shares.

    Args:
        panels: Values by part, for each axis title with unit; each panel has at least one value.
    """
    columns = 2 if len(panels) in (1, 2, 4) else 3
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(_WIDTH, 2.35 * rows + 0.3, layout="constrained")
    for place, (title, values) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, place + 1)
        _draw_histogram(axes, values)
        _tidy(axes, grid="y")
        axes.set_xlabel(title)
        if place % columns == 0:
            axes.set_ylabel("cases" if len(values) == 1 else "share of the cases [%]")
    _name_parts(figure, list(next(iter(panels.values()))))
    return figure


def draw_hounsfield(curves: Mapping[str, Curve], *, window: tuple[float, float] | None) -> Figure:
    """Draw Hounsfield units by tissue: near the organ, and over the whole range on a logarithmic scale.

    Args:
        curves: Histogram by tissue, the whole scan first.
        window: Lower and upper HU of the band that is drawn; None for none.
    """
    figure = new_figure(_WIDTH, 3.6, layout="constrained")
    near, whole = figure.subplots(1, 2, width_ratios=(1.35, 1))
    highest = 0.0
    for place, (name, curve) in enumerate(curves.items()):
        hu, shares = _smoothed(curve, width=11)
        if place or len(curves) == 1:  # peaks of the scan's air and clipped values may exceed the panel
            highest = max(highest, 100 * float(shares.max()))
        near.plot(hu, 100 * shares, color=curve.colour, linewidth=1.7, label=name)
        coarse_hu, coarse = _smoothed(curve, width=21)
        whole.plot(coarse_hu, 100 * np.where(coarse > 1e-7, coarse, np.nan), color=curve.colour, linewidth=1.3)
    for axes in (near, whole):
        if window is not None:
            axes.axvspan(*window, color="#f1f5f8", zorder=0)
        _tidy(axes, grid="both")
        axes.set_xlabel("HU")
    near.set(xlim=_near(curves), ylim=(0, 1.35 * highest), ylabel="voxels in 1 HU [% of the tissue]")
    near.set_title("around the pancreas" + (" (grey: suggested window)" if window is not None else ""), fontsize=10)
    near.legend(framealpha=0.9, edgecolor="none", fontsize=9, loc="upper left")
    whole.set_yscale("log")
    whole.set_title("whole range, logarithmic", fontsize=10)
    return figure


def draw_places(places: Sequence[tuple[float, float, float]], *, frame: str) -> Figure:
    """Draw the positions of the pancreas's centre, within the axial plane and along the scan.

    Args:
        places: Per cent from the right, from the front and from the feet, one for each case; not empty. The last is
            NaN for single pictures; the second panel is left out if all are.
        frame: What the percentages refer to: "body" or "image".
    """
    x, y, z = np.array(places, np.float64).T
    known = z[np.isfinite(z)]
    figure = new_figure(_WIDTH if known.size else _WIDTH / 2, 3.9, layout="constrained")
    ratios = (1, 1.3) if known.size else (1,)
    plane, *others = figure.subplots(1, len(ratios), width_ratios=ratios, squeeze=False)[0]
    plane.axhline(50, color=PALE, linewidth=1)
    plane.axvline(50, color=PALE, linewidth=1)
    plane.plot(x, y, "o", color=ACCENT, alpha=0.55, markersize=4.5, markeredgewidth=0)
    plane.set(xlim=(0, 100), ylim=(100, 0), aspect="equal")
    plane.set_xlabel(f"patient's right → left [% of the {frame}'s width]")
    plane.set_ylabel(f"back ← front [% of the {frame}'s depth]")
    plane.set_title("in the axial plane, seen from the feet", fontsize=10)
    _tidy(plane, grid="both")
    for along in others:
        along.hist(known, bins=np.arange(0, 101, 4).tolist(), color=ACCENT, alpha=0.8, edgecolor="white")
        along.set(xlim=(0, 100), xlabel="feet → head [% of the scan's length]", ylabel="cases")
        along.set_title("along the scan", fontsize=10)
        along.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        _tidy(along, grid="y")
    return figure


def draw_lesions(diameters_mm: Values, by_size: Mapping[str, Mapping[str, int]]) -> Figure:
    """Draw lesions by longest axial diameter, as a histogram and in size classes.

    Args:
        diameters_mm: Diameters of each part's lesions; at least one lesion in all.
        by_size: Number of lesions by size class, by part.
    """
    figure = new_figure(_WIDTH, 3.2, layout="constrained")
    single, classes = figure.subplots(1, 2, width_ratios=(1.3, 1))
    _draw_histogram(single, diameters_mm)
    single.set_xlabel("longest axial diameter of a lesion [mm]")
    single.set_ylabel("lesions" if len(diameters_mm) == 1 else "share of the lesions [%]")
    _tidy(single, grid="y")
    width = 0.8 / len(by_size)
    for number, (counts, colour) in enumerate(zip(by_size.values(), COLOURS, strict=False)):
        places = np.arange(len(counts)) - 0.4 + width * (number + 0.5)
        bars = classes.bar(places, list(counts.values()), width=0.94 * width, color=colour, alpha=0.85)
        classes.bar_label(bars, fontsize=9, padding=2)
    names = [name.replace("-", "–").replace(">=", "≥ ").replace("<", "< ") for name in next(iter(by_size.values()))]
    classes.set_xticks(range(len(names)), names)
    classes.set_ylabel("lesions")
    classes.margins(y=0.15)
    classes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    _tidy(classes, grid="y")
    _name_parts(figure, list(by_size))
    return figure


def draw_contrast(pairs: Sequence[tuple[float, float]]) -> Figure:
    """Draw mean HU of the tumour against that of the pancreas without it, and their difference.

    Args:
        pairs: (pancreas without tumour, tumour) of each case; not empty.
    """
    figure = new_figure(_WIDTH, 3.6, layout="constrained")
    both, difference = figure.subplots(1, 2, width_ratios=(1, 1.3))
    organ, tumour = np.array(pairs, np.float64).T
    low, high = min(organ.min(), tumour.min()) - 5, max(organ.max(), tumour.max()) + 5
    both.plot([low, high], [low, high], color=PALE, linewidth=1)
    both.plot(organ, tumour, "o", color=ACCENT, alpha=0.55, markersize=4.5, markeredgewidth=0)
    both.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    both.set(xlabel="pancreas without tumour, mean [HU]", ylabel="tumour, mean [HU]")
    _tidy(both, grid="both")
    _draw_histogram(difference, {"": (tumour - organ).tolist()})
    difference.axvline(0, color=INK, linewidth=1)
    difference.set(xlabel="tumour − pancreas without it [HU]", ylabel="cases")
    _tidy(difference, grid="y")
    return figure


def _draw_histogram(axes: Any, values: Values) -> None:
    """Draw counts for one part; shares in per cent for several, since their sizes differ."""
    pooled = np.array([number for numbers in values.values() for number in numbers], np.float64)
    edges = _bins(pooled)
    if len(values) == 1:
        axes.hist(pooled, bins=edges, color=ACCENT, alpha=0.8, edgecolor="white", linewidth=0.6)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    else:
        for numbers, colour in zip(values.values(), COLOURS, strict=False):
            if len(numbers):
                shares = 100 * np.histogram(numbers, bins=edges)[0] / len(numbers)
                axes.stairs(shares, edges, color=colour, linewidth=1.6, fill=False)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))


def _bins(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return edges of bins with a round width that hold all values; few distinct values are centred in their bins."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        width = 0.02 * max(1.0, abs(low))
        return np.array([low - width, low + width])
    target = (high - low) / min(_MOST_BINS, max(8, int(2 * math.sqrt(values.size))))
    power = 10.0 ** math.floor(math.log10(target))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= target * (1 - 1e-9))
    if (values == np.rint(values)).all():
        step = max(1.0, float(math.ceil(step)))
    few = np.unique(np.round(values / step, 1)).size <= 12
    shift = step / 2 if few or step == 1 else 0.0
    first, last = math.floor((low + shift) / step), math.floor((high + shift) / step) + 1
    return np.arange(first, last + 1, dtype=np.float64) * step - shift


def _smoothed(curve: Curve, *, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return HU and shares smoothed by a running mean, since resampled 8-bit scans leave gaps in the histogram."""
    shares = np.pad(np.asarray(curve.shares, np.float64), width)
    even = np.convolve(shares, np.full(width, 1 / width), mode="same")
    return np.arange(shares.size, dtype=np.float64) + (curve.first_hu - width), even


def _near(curves: Mapping[str, Curve]) -> tuple[float, float]:
    """Return the range of HU of organ and tumour; for the scan alone, the range from fat to bone."""
    ends = []
    for place, curve in enumerate(curves.values()):
        below = np.cumsum(curve.shares)
        if place and below.size:
            ends += [curve.first_hu + int(np.searchsorted(below, share * below[-1])) for share in (0.002, 0.998)]
    return (min(ends) - 20, max(ends) + 20) if ends else (-200, 300)


def _name_parts(figure: Figure, names: Sequence[str]) -> None:
    """Draw a legend above the panels if there are several parts."""
    if len(names) < 2:
        return
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=colour, linewidth=3) for _, colour in zip(names, COLOURS, strict=False)]
    legend = figure.legend(lines, [shorten(name) for name in names[: len(COLOURS)]], loc="outside upper left", ncols=6)
    legend.set_frame_on(False)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _tidy(axes: Any, *, grid: str) -> None:
    axes.grid(axis=grid, color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
