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
from pancascade.imaging.volume import Box, Volume, reorient
from pancascade.labels import COLOURS, Label
from pancascade.report.scan.slice_areas import SliceAreas, slice_areas
from pancascade.results.measurements import label_sizes

COLUMNS, ROWS = 4, 2
DPI = 80
_BAR_LENGTHS_MM = (100, 50, 20, 10, 5, 2, 1)
_OUTLINE = (withStroke(linewidth=2.5, foreground="black"),)
WINDOW = Window(lower_hu=-100, upper_hu=240)


def choose_slices(areas: SliceAreas, *, count: int = COLUMNS * ROWS) -> list[int]:
    """Choose axial slices of an LPS mask to show.

    The slice with the largest tumour comes first, or the one with most pancreas if there is no tumour. The others
    are spread evenly over the organ, head first. An empty mask gives slices spread over the scan.
    """
    organ, tumour, _ = areas
    if not organ.any():
        return sorted({int(k) for k in np.linspace(0, organ.size - 1, count)}, reverse=True)
    first = int(np.argmax(tumour if tumour.any() else organ))
    shown = np.flatnonzero(organ)
    spread = np.linspace(shown[-1], shown[0], count + 1).astype(int)
    others = [int(k) for k in dict.fromkeys(spread) if k != first]
    return [first, *others[: count - 1]]


def write_overview(scan: Volume, mask: Volume, path: Path) -> None:
    """Draw axial slices in the radiological view, with contours and volumes.

    Args:
        scan: Hounsfield units.
        mask: Labels on the same grid.
        path: PNG file to write.

    Raises:
        OutputError: The path cannot be written.
    """
    scan_lps, marked = reorient(scan, "LPS"), reorient(mask, "LPS")
    column_mm, row_mm, _ = scan_lps.spacing_mm
    figure = Figure(figsize=(4 * COLUMNS, 3.3 * ROWS + 0.6), facecolor="black")
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=0.005, right=0.995, bottom=0.01, top=0.92, wspace=0.01, hspace=0.08)
    areas = slice_areas(marked.voxels)
    chosen = choose_slices(areas)
    for place, k in enumerate(chosen):
        axes = figure.add_subplot(ROWS, COLUMNS, place + 1)
        axes.imshow(WINDOW.apply(scan_lps.voxels[:, :, k].T), cmap="gray", vmin=0, vmax=1, aspect=row_mm / column_mm)
        _draw_contours(axes, marked.voxels[:, :, k].T)
        _zoom(axes, areas.box, marked.shape, spacing_mm=(column_mm, row_mm))
        what = "largest tumour, " if place == 0 and areas.tumour.any() else ""
        _draw_sides(axes)
        _draw_bar(axes, column_mm=column_mm, row_mm=row_mm)
        axes.set_title(f"{what}slice {k + 1} of {scan_lps.shape[2]} from the feet", color="white", fontsize=9)
        axes.set_axis_off()
        axes.set(xticks=[], yticks=[])  # they are measured even where none is drawn
    _write_heading(figure, mask)
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=DPI, facecolor="black", pil_kwargs={"compress_level": 2})


def first_panel(path: Path, *, width: int) -> Image.Image:
    """Return the first slice of an overview, with the largest tumour or most pancreas, as a small picture.

    Args:
        path: The PNG file.
        width: Width in pixels.

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
    """Draw R at the picture's left edge and L at its right: the patient is seen from the feet."""
    for letter, x, alignment in (("R", 0.02, "left"), ("L", 0.98, "right")):
        style = {"transform": axes.transAxes, "ha": alignment, "va": "center", "path_effects": _OUTLINE}
        axes.text(x, 0.5, letter, color="white", fontsize=12, fontweight="bold", **style)


def _draw_bar(axes: Any, *, column_mm: float, row_mm: float) -> None:
    """Draw a scale bar at the lower left: the longest round length that takes at most a third of the width."""
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


def _zoom(axes: Any, organ: Box | None, shape: tuple[int, int, int], *, spacing_mm: tuple[float, float]) -> None:
    """Show the organ with 60 mm around it; the whole slice if there is none."""
    if organ is None:
        return
    (left, top, _), (right, bottom, _) = organ.start, organ.stop
    column_margin, row_margin = 60 / spacing_mm[0], 60 / spacing_mm[1]
    axes.set_xlim(max(left - column_margin, -0.5), min(right - 1 + column_margin, shape[0] - 0.5))
    axes.set_ylim(min(bottom - 1 + row_margin, shape[1] - 0.5), max(top - row_margin, -0.5))


def _write_heading(figure: Figure, mask: Volume) -> None:
    sizes = label_sizes(mask)
    handles = [Line2D([], [], color=colour, linewidth=3) for colour in COLOURS.values()]
    names = [f"{label.title} {sizes[label.title]['volume_ml']:.1f} mL" for label in COLOURS]
    figure.legend(handles, names, loc="upper left", ncols=2, frameon=False, labelcolor="white", fontsize=11)
    figure.text(0.995, 0.965, "research use only", color="#bbbbbb", fontsize=10, ha="right", va="top")
