"""``overview.png``: slices with contours, the slice with the largest tumour first."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from PIL import Image

from pancascade.files.atomic import written_whole
from pancascade.imaging.preprocessing import Window
from pancascade.imaging.volume import Volume, reorient
from pancascade.labels import COLOURS, Label
from pancascade.results.measurements import label_sizes

COLUMNS, ROWS = 4, 2
DPI = 80
_BAR_LENGTHS_MM = (100, 50, 20, 10, 5, 2, 1)
_OUTLINE = (withStroke(linewidth=2.5, foreground="black"),)
WINDOW = Window(lower_hu=-100, upper_hu=240)


def choose_slices(mask: NDArray[np.uint8], *, count: int = COLUMNS * ROWS) -> list[int]:
    """Axial slices worth showing of an upright mask (I, J, K).

    The slice with the largest tumour comes first, or the one with most pancreas if there is no tumour; the others
    are spread evenly over the organ, head first. Without any finding: slices spread over the scan.
    """
    organ = np.count_nonzero(mask, axis=(0, 1))
    tumour = np.count_nonzero(mask == Label.TUMOUR, axis=(0, 1))
    if not organ.any():
        return sorted({int(k) for k in np.linspace(0, mask.shape[2] - 1, count)}, reverse=True)
    first = int(np.argmax(tumour if tumour.any() else organ))
    shown = np.flatnonzero(organ)
    spread = np.linspace(shown[-1], shown[0], count + 1).astype(int)
    others = [int(k) for k in dict.fromkeys(spread) if k != first]
    return [first, *others[: count - 1]]


def write_overview(scan: Volume, mask: Volume, path: Path) -> None:
    """Draw axial slices as a radiologist sees them, with contours and volumes.

    Args:
        scan: Hounsfield units.
        mask: Labels on the same grid.
        path: PNG to write.

    Raises:
        OutputError: The path cannot be written.
    """
    scan_lps, marked = reorient(scan, "LPS"), reorient(mask, "LPS")
    column_mm, row_mm, _ = scan_lps.spacing_mm
    figure = Figure(figsize=(4 * COLUMNS, 3.3 * ROWS + 0.6), facecolor="black")
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=0.005, right=0.995, bottom=0.01, top=0.92, wspace=0.01, hspace=0.08)
    chosen = choose_slices(marked.voxels)
    for place, k in enumerate(chosen):
        axes = figure.add_subplot(ROWS, COLUMNS, place + 1)
        axes.imshow(WINDOW.apply(scan_lps.voxels[:, :, k].T), cmap="gray", vmin=0, vmax=1, aspect=row_mm / column_mm)
        _draw_contours(axes, marked.voxels[:, :, k].T)
        _zoom(axes, marked.voxels, spacing_mm=(column_mm, row_mm))
        what = "largest tumour, " if place == 0 and (marked.voxels == Label.TUMOUR).any() else ""
        _draw_sides(axes)
        _draw_bar(axes, column_mm=column_mm, row_mm=row_mm)
        axes.set_title(f"{what}slice {k + 1} of {scan_lps.shape[2]} from the feet", color="white", fontsize=9)
        axes.set_axis_off()
        axes.set(xticks=[], yticks=[])  # they are measured even where none is drawn
    _write_heading(figure, mask)
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=DPI, facecolor="black")


def first_panel(path: Path, *, width: int) -> Image.Image:
    """The first slice of an overview, the one with the largest tumour or most pancreas, as a small picture.

    Args:
        path: The PNG.
        width: In pixels.

    Raises:
        OSError: It cannot be read.
    """
    with Image.open(path) as picture:
        panel = picture.convert("RGB").crop(
            (0, int(0.1 * picture.height), picture.width // COLUMNS, int(0.5 * picture.height))
        )
    panel.thumbnail((width, width))
    return panel


def _draw_sides(axes: Any) -> None:
    """R at the picture's left edge and L at its right: the patient is looked at from the feet."""
    for letter, x, alignment in (("R", 0.02, "left"), ("L", 0.98, "right")):
        style = {"transform": axes.transAxes, "ha": alignment, "va": "center", "path_effects": _OUTLINE}
        axes.text(x, 0.5, letter, color="white", fontsize=12, fontweight="bold", **style)


def _draw_bar(axes: Any, *, column_mm: float, row_mm: float) -> None:
    """A scale bar at the lower left, the longest round length that takes at most a third of the width."""
    left, right = axes.get_xlim()
    low, high = axes.get_ylim()
    length = next((mm for mm in _BAR_LENGTHS_MM if mm <= (right - left) * column_mm / 3), None)
    if length is None:
        return
    start, below = left + 0.03 * (right - left), low + 0.04 * (high - low)
    end = start + length / column_mm
    axes.plot([start, end], [below, below], color="white", linewidth=3, path_effects=_OUTLINE)
    words = {"ha": "center", "va": "bottom", "path_effects": _OUTLINE}
    axes.text((start + end) / 2, below - 4 / row_mm, f"{length} mm", color="white", fontsize=8, **words)
    axes.set(xlim=(left, right), ylim=(low, high))


def _draw_contours(axes: Any, labels: NDArray[np.uint8]) -> None:
    for label, colour in COLOURS.items():
        inside = labels == label if label == Label.TUMOUR else labels > 0
        if inside.any():
            axes.contour(inside, [0.5], colors=colour, linewidths=1.4)


def _zoom(axes: Any, mask: NDArray[np.uint8], *, spacing_mm: tuple[float, float]) -> None:
    """Show the organ with 60 mm around it; the whole slice if there is none."""
    found = mask.any(axis=2)
    if not found.any():
        return
    columns, rows = np.flatnonzero(np.any(found, axis=1)), np.flatnonzero(np.any(found, axis=0))
    column_margin, row_margin = 60 / spacing_mm[0], 60 / spacing_mm[1]
    axes.set_xlim(max(columns[0] - column_margin, -0.5), min(columns[-1] + column_margin, mask.shape[0] - 0.5))
    axes.set_ylim(min(rows[-1] + row_margin, mask.shape[1] - 0.5), max(rows[0] - row_margin, -0.5))


def _write_heading(figure: Figure, mask: Volume) -> None:
    sizes = label_sizes(mask)
    handles = [Line2D([], [], color=colour, linewidth=3) for colour in COLOURS.values()]
    names = [f"{label.title} {sizes[label.title]['volume_ml']:.1f} mL" for label in COLOURS]
    figure.legend(handles, names, loc="upper left", ncols=2, frameon=False, labelcolor="white", fontsize=11)
    figure.text(0.995, 0.965, "research use only", color="#bbbbbb", fontsize=10, ha="right", va="top")
