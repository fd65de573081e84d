"""The reliability diagram of a calibration: predicted probability against observed frequency, before and after."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pancascade.files.atomic import written_whole
from pancascade.metrics.calibration import Reliability
from pancascade.report.figures import ACCENT, INK, PALE, new_figure

_BEFORE = "#d55e00"


def write_reliability(path: Path, panels: Mapping[str, tuple[Reliability, Reliability]], *, said_by: str) -> None:
    """Draw reliability before and after calibration, one panel for each target, with the share of voxels below.

    Args:
        path: PNG file.
        panels: Reliability before and after, by title.
        said_by: Which voxels were counted, for the axis.

    Raises:
        OutputError: The path cannot be written.
    """
    figure = new_figure(4.2 * len(panels), 5.4, layout="constrained")
    grid = figure.subplots(2, len(panels), squeeze=False, height_ratios=(4, 1), sharex="col")
    for place, (title, (before, after)) in enumerate(panels.items()):
        curve, share = grid[0, place], grid[1, place]
        curve.plot((0, 1), (0, 1), color=PALE, linewidth=1, zorder=1)
        for name, found, colour in (("before", before, _BEFORE), ("after", after, ACCENT)):
            _draw(curve, share, found, label=f"{name}: ECE {found.ece:.3f}, Brier {found.brier:.3f}", colour=colour)
        curve.set(title=title, xlim=(0, 1), ylim=(0, 1))
        curve.legend(loc="upper left", frameon=False, fontsize=8)
        share.set(ylim=(0, None), xticks=np.linspace(0, 1, 6))
    grid[0, 0].set_ylabel("observed frequency")
    grid[1, 0].set_ylabel("share of\nvoxels", fontsize=9)
    figure.supxlabel(f"probability ({said_by})", fontsize=9)
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def _draw(curve: Any, share: Any, found: Reliability, *, label: str, colour: str) -> None:
    used = found.count > 0
    curve.plot(found.confidence[used], found.frequency[used], "o-", color=colour, markersize=4, label=label)
    share.stairs(found.count / found.count.sum(), found.edges, color=colour, linewidth=1.3)
    for axes in (curve, share):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK, labelsize=8)
