"""Figures of the comparison report: distributions, ranks, agreement of volumes, FROC curves."""

import base64
import io
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from pancascade.metrics import MethodRank

INK, PALE, ACCENT = "#1f2933", "#b9c6d3", "#0072b2"
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a4fbf", "#000000")
"""Okabe and Ito's colours, which colour-blind readers can distinguish; purple replaces yellow, too pale on white."""

NAMED_CURVES = len(_COLOURS)
"""Number of FROC curves with a colour of their own; the others are grey."""

LEAST_RATE = 1 / 32
"""Left edge of the FROC figure, in false positives per scan; a logarithmic axis has no 0."""

_WIDTH = 10.0


class Agreement(NamedTuple):
    """Bland and Altman's limits, which hold 95 % of the differences if these are normally distributed."""

    mean: float
    low: float
    high: float


def limits_of_agreement(differences: Sequence[float]) -> Agreement:
    """Return the mean difference and mean ± 1.96 standard deviations (n − 1); NaN limits for fewer than two values.

    Args:
        differences: Prediction − reference, one for each case, not empty.

    Source: Bland and Altman 1986 (Lancet 327, 307–310).
    """
    numbers = np.asarray(differences, np.float64)
    mean = float(numbers.mean())
    reach = 1.96 * float(numbers.std(ddof=1)) if len(numbers) > 1 else math.nan
    return Agreement(mean, mean - reach, mean + reach)


def embed(figure: Figure, *, dpi: int = 120) -> str:
    """Return the figure as a ``data:`` address of a PNG; with a palette of colours to keep the page small."""
    drawn, packed = io.BytesIO(), io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)  # names in any script
        figure.savefig(drawn, format="png", dpi=dpi)
    with Image.open(drawn) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(packed, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(packed.getvalue()).decode("ascii")


def new_figure(width: float, height: float, **options: Any) -> Figure:
    """Return an empty figure of this size in inches, independent of pyplot's state."""
    figure = Figure(figsize=(width, height), facecolor="white", **options)
    FigureCanvasAgg(figure)
    return figure


def shorten(name: str, *, length: int = 32) -> str:
    """Shorten a name to fit beside a figure: keep its start and its end."""
    tail = length // 3
    return name if len(name) <= length else f"{name[: length - tail - 1]}…{name[-tail:]}"


def draw_distributions(values: Mapping[str, Sequence[float]], *, title: str) -> Figure:
    """Draw each method's values as points, with a box of quartiles, a violin, and the mean as a diamond.

    Args:
        values: Values of each method, one for each case; NaN is left out.
        title: Title of the metric, with its unit.
    """
    figure = new_figure(_WIDTH, 0.9 + (0.5 if len(values) < 10 else 0.34) * len(values), layout="constrained")
    axes = figure.add_subplot()
    known = {name: _finite(numbers) for name, numbers in values.items()}
    for place, numbers in enumerate(known.values()):
        if len(numbers):
            _draw_violin(axes, numbers, place)
            _draw_box(axes, numbers, place)
    _name_rows(axes, list(values))
    _bend(axes, np.concatenate([np.zeros(0), *known.values()]))
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(axis="x", color="#e4e9ee", linewidth=0.8)
    return figure


def draw_ranks(panels: Mapping[str, Sequence[MethodRank]]) -> Figure:
    """Draw the rank of each method by each metric, with its 95 % bootstrap interval, in the order of the first metric.

    Args:
        panels: Ranks of the same methods, best first, by title of the metric.
    """
    order = [rank.name for rank in next(iter(panels.values()))]
    columns = min(len(panels), 5)
    rows = math.ceil(len(panels) / columns)
    height = 0.8 + (0.34 if len(order) < 10 else 0.23) * len(order)
    figure = new_figure(_WIDTH, rows * height, layout="constrained")
    for place, (title, ranks) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, place + 1)
        by_name = {rank.name: rank for rank in ranks}
        for row, name in enumerate(order):
            rank = by_name[name]
            axes.plot([rank.rank_low, rank.rank_high], [row, row], color=PALE, linewidth=4, clip_on=False)
            axes.plot([rank.rank], [row], "o", color=ACCENT, markersize=5, clip_on=False)
        _name_rows(axes, order, shown=place % columns == 0)
        axes.set_xlim(0.5, len(order) + 0.5)
        axes.locator_params(axis="x", integer=True, nbins=6)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("rank")
        axes.grid(axis="x", color="#e4e9ee", linewidth=0.8)
    return figure


def draw_agreement(volumes: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """Draw Bland–Altman panels of volumes, all on the same axes.

    Args:
        volumes: (reference, prediction) in mL of each case, by title of the panel, with at least one case each.
    """
    columns = min(len(volumes), 4)
    rows = math.ceil(len(volumes) / columns)
    figure = new_figure(max(5.0, _WIDTH * columns / 4), 3.0 * rows, layout="constrained")
    first = None
    for place, (name, pairs) in enumerate(volumes.items()):
        axes = figure.add_subplot(rows, columns, place + 1, sharex=first, sharey=first)
        first = first or axes
        reference, prediction = np.array(pairs, np.float64).T
        limits = limits_of_agreement((prediction - reference).tolist())
        axes.axhline(0, color=PALE, linewidth=1)
        axes.plot((reference + prediction) / 2, prediction - reference, "o", color=ACCENT, alpha=0.55, markersize=4)
        axes.axhline(limits.mean, color=INK, linewidth=1.4)
        for limit in limits[1:]:
            if math.isfinite(limit):
                axes.axhline(limit, color="#d55e00", linewidth=1.2, linestyle="--")
        ends = f"{limits.low:.1f}, {limits.high:.1f}" if math.isfinite(limits.low) else "–"
        spelled = f"{limits.mean:.1f} [{ends}] mL".replace("-", "−")
        axes.set_title(f"{shorten(name, length=26)}\n{spelled}", fontsize=9, parse_math=False)
        _label_panel(axes, place, rows=rows, columns=columns, panels=len(volumes))
    return figure


def draw_froc(curves: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """Draw lesion sensitivity against false positives per scan, with a step at each confidence threshold.

    Args:
        curves: (false positives per scan, sensitivity) of each method, from the highest threshold down, not NaN; the
            first `NAMED_CURVES` get colours, the others are grey.
    """
    figure = new_figure(_WIDTH, 4.4, layout="constrained")
    axes = figure.add_subplot()
    most = max([8.0, *(rate for points in curves.values() for rate, _ in points)])
    handles, names = [], []
    for place, (name, points) in enumerate(curves.items()):
        named = place < NAMED_CURVES
        left = max((found for rate, found in points if rate <= LEAST_RATE), default=0.0)
        right = [(rate, found) for rate, found in points if rate > LEAST_RATE]
        rates = [LEAST_RATE, *(rate for rate, _ in right), most]
        found = [left, *(share for _, share in right), right[-1][1] if right else left]
        style: dict[str, Any] = {"color": _COLOURS[place] if named else PALE, "linewidth": 1.6 if named else 0.9}
        (line,) = axes.plot(rates, found, drawstyle="steps-post", zorder=3 - place / len(curves), **style)
        if len(points) <= 12:
            axes.plot([max(rate, LEAST_RATE) for rate, _ in points], [s for _, s in points], "o", markersize=4, **style)
        if place <= NAMED_CURVES:
            handles.append(line)
            names.append(shorten(name) if named else f"{len(curves) - NAMED_CURVES} others")
    axes.set_xscale("log", base=2)
    ticks = [rate for rate in (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16, 32, 64) if rate <= most]
    axes.set_xticks(ticks, [f"{rate:g}" if rate >= 1 else f"1/{round(1 / rate)}" for rate in ticks])
    axes.set(xlim=(LEAST_RATE, most), ylim=(-0.02, 1.02), xlabel="false positives per scan", ylabel="sensitivity")
    axes.grid(color="#e4e9ee", linewidth=0.8)
    legend = axes.legend(handles, names, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _finite(values: Sequence[float]) -> NDArray[np.float64]:
    numbers = np.asarray(values, np.float64)
    return numbers[np.isfinite(numbers)]


def _draw_violin(axes: Any, numbers: NDArray[np.float64], place: int) -> None:
    """Draw the density of the values, mirrored; nothing for fewer than five or equal values."""
    if len(numbers) < 5 or np.ptp(numbers) <= 1e-6 * np.abs(numbers).max():
        return
    from scipy.stats import gaussian_kde  # slow to import

    along = np.linspace(numbers.min(), numbers.max(), 200)
    density = gaussian_kde(numbers)(along)
    width = 0.42 * density / density.max()
    axes.fill_between(along, place - width, place + width, color="#dbe6f0", linewidth=0, zorder=1)


def _draw_box(axes: Any, numbers: NDArray[np.float64], place: int) -> None:
    """Draw points, quartiles with the median, whiskers to the last point within 1.5 times the box, and the mean."""
    spread = np.random.default_rng(0).uniform(-0.2, 0.2, len(numbers))
    axes.plot(numbers, place + spread, "o", color=ACCENT, alpha=0.45, markersize=3, markeredgewidth=0, zorder=2)
    low, median, high = np.percentile(numbers, [25, 50, 75])
    inside = numbers[(numbers >= low - 1.5 * (high - low)) & (numbers <= high + 1.5 * (high - low))]
    axes.plot([inside.min(), low], [place, place], color=INK, linewidth=1, zorder=3)
    axes.plot([high, inside.max()], [place, place], color=INK, linewidth=1, zorder=3)
    axes.fill_between([low, high], place - 0.12, place + 0.12, facecolor="none", edgecolor=INK, linewidth=1, zorder=3)
    axes.plot([median, median], [place - 0.12, place + 0.12], color="#d55e00", linewidth=2, zorder=4)
    axes.plot([numbers.mean()], [place], "D", color="white", markeredgecolor=INK, markersize=4.5, zorder=5)


def _bend(axes: Any, values: NDArray[np.float64]) -> None:
    """Use a logarithmic axis beyond the median if large values, such as a scan's diagonal, would compress the rest."""
    if not len(values) or values.min() < 0 or values.max() <= max(1, 20 * np.median(values)):
        return
    middle, most = max(float(np.median(values)), 1.0), float(values.max())
    axes.set_xscale("symlog", linthresh=middle)
    ticks = [0.0, *(step * 10.0**power for power in range(6) for step in (1, 2, 5))]
    shown = [tick for tick in ticks if tick <= most and (tick == 0 or tick >= middle / 3)]
    axes.set_xticks(shown, [f"{tick:g}" for tick in shown], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_xlim(0, 1.1 * most)


def _name_rows(axes: Any, names: Sequence[str], *, shown: bool = True) -> None:
    """Label one row for each method, the first on top."""
    texts = [shorten(name) for name in names] if shown else [""] * len(names)
    axes.set_yticks(range(len(names)), texts, parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _label_panel(axes: Any, place: int, *, rows: int, columns: int, panels: int) -> None:
    """Label only the outer axes."""
    axes.grid(color="#eef1f4", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    if place + columns >= panels:
        axes.set_xlabel("mean of both [mL]")
    axes.tick_params(axis="y", labelleft=place % columns == 0)
    if place % columns == 0:
        axes.set_ylabel("prediction − reference [mL]")
