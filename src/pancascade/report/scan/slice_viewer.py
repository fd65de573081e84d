"""Axial slices to scroll through in a page: small grey pictures, contours as paths, selectable windows."""

import base64
import hashlib
import io
from dataclasses import dataclass
from importlib import resources
from typing import Any

import contourpy
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pancascade.imaging.preprocessing import Window
from pancascade.imaging.volume import Box, Volume, reorient
from pancascade.labels import Label
from pancascade.report.scan.slice_areas import SliceAreas, slice_areas

STORED = Window(lower_hu=-300, upper_hu=500)
"""HU range of the pictures, in 255 steps of about 3 HU; the windows are parts of it."""

WINDOWS = (("abdomen", -100, 240), ("soft tissue", -50, 160), ("wide", -300, 500))
MOST_SLICES, LONGEST_SIDE, QUALITY = 60, 320, 82
MARGIN_MM = 50.0
_BAR_LENGTHS_MM = (100, 50, 20, 10, 5)


@dataclass(frozen=True)
class ViewerSlice:
    """One slice of the viewer.

    Attributes:
        title: Number of the slice, counted from the feet.
        address: ``data:`` address of a JPEG.
        organ: Outline of pancreas with tumour as an SVG path; "" for none.
        tumour: Outline of the tumour as an SVG path; "" for none.
    """

    title: str
    address: str
    organ: str
    tumour: str


@dataclass(frozen=True)
class SliceViewer:
    """Slices from the feet to the head, and their display.

    Attributes:
        width: Width of each picture in pixels.
        height: Height of each picture in pixels.
        slices: At most `MOST_SLICES` slices.
        first: Index of the slice that is shown first.
        bar: Length of the scale bar, in mm and in pixels.
        windows: Name, slope and intercept of each window, for stored grey values from 0 to 1.
    """

    width: int
    height: int
    slices: tuple[ViewerSlice, ...]
    first: int
    bar: tuple[int, float]
    windows: tuple[tuple[str, float, float], ...]

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return the slices in the form of the page's script."""
        return [(each.title, each.address, each.organ, each.tumour) for each in self.slices]


def viewer_script() -> tuple[str, str]:
    """Return the page's script, and the hash with which the page's security policy allows this script only."""
    script = resources.files("pancascade.report").joinpath("templates/slice_viewer.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return script, f"'sha256-{digest}'"


def draw_slices(scan: Volume, mask: Volume) -> SliceViewer:
    """Draw the slices that show the pancreas and two beyond; of an empty mask, slices spread over the scan.

    Args:
        scan: Hounsfield units, any orientation.
        mask: Labels on the same grid, ids of `Label`.

    Raises:
        GeometryError: The mask has another shape than the scan.
    """
    scan_lps, marks = reorient(scan, "LPS"), reorient(scan.with_voxels(mask.voxels), "LPS")
    areas = slice_areas(marks.voxels)
    chosen, first = _choose(areas)
    box = _field(areas.box, marks)
    sizes_mm = [(part.stop - part.start) * step for part, step in zip(box, marks.spacing_mm[:2], strict=True)]
    pixel_mm = max(sizes_mm) / LONGEST_SIDE
    width, height = (max(1, round(size / pixel_mm)) for size in sizes_mm)
    scale = (width / (box[0].stop - box[0].start), height / (box[1].stop - box[1].start))
    slices = tuple(
        ViewerSlice(
            f"slice {k + 1} of {marks.shape[2]} from the feet",
            _embed(np.asarray(scan_lps.voxels[(*box, k)]), (width, height)),
            _outline(marks.voxels[(*box, k)] > 0, scale),
            _outline(marks.voxels[(*box, k)] == Label.TUMOUR, scale),
        )
        for k in chosen
    )
    length = next((mm for mm in _BAR_LENGTHS_MM if mm <= width * pixel_mm / 3), _BAR_LENGTHS_MM[-1])
    return SliceViewer(width, height, slices, first, (length, length / pixel_mm), _windows())


def _choose(areas: SliceAreas) -> tuple[list[int], int]:
    """Return slices, and the index of the first one shown: most tumour, else most pancreas, else the middle."""
    organ, tumour, _ = areas
    shown = np.flatnonzero(organ) if organ.any() else np.array([0, organ.size - 1])
    low, high = max(0, shown[0] - 2), min(organ.size - 1, shown[-1] + 2)
    wanted = int(np.argmax(tumour if tumour.any() else organ)) if organ.any() else (low + high) // 2
    spread = np.linspace(low, high, min(MOST_SLICES - 1, high - low + 1)).round().astype(int)
    chosen = sorted({*map(int, spread), wanted})
    return chosen, chosen.index(wanted)


def _field(organ: Box | None, marks: Volume) -> tuple[slice, slice]:
    """Return columns and rows around the pancreas; all if there is none."""
    box = Box.whole(marks.shape) if organ is None else organ.expand_mm(MARGIN_MM, spacing_mm=marks.spacing_mm)
    columns, rows, _ = box.clip(marks.shape).slices
    return columns, rows


def _embed(hu: NDArray[Any], size: tuple[int, int]) -> str:
    grey = np.rint(255 * STORED.apply(hu.T)).astype(np.uint8)
    picture = Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR)
    packed = io.BytesIO()
    picture.save(packed, format="JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(packed.getvalue()).decode("ascii")


def _outline(inside: NDArray[np.bool_], scale: tuple[float, float]) -> str:
    """Return the border of a mask (columns, rows) as an SVG path, in pixels of the picture."""
    if not inside.any():
        return ""
    lines = contourpy.contour_generator(z=np.pad(inside, 1).T.astype(np.float32)).lines(0.5)
    return "".join(
        # Half a voxel: contours use voxel centres, but pictures begin at the edge of the first voxel.
        "M" + "L".join(f"{(x - 0.5) * scale[0]:.1f},{(y - 0.5) * scale[1]:.1f}" for x, y in np.asarray(line)) + "Z"
        for line in lines
    )


def _windows() -> tuple[tuple[str, float, float], ...]:
    width = STORED.upper_hu - STORED.lower_hu
    return tuple(
        (f"{name}, {low} to {high} HU".replace("-", "−"), width / (high - low), -(low - STORED.lower_hu) / (high - low))
        for name, low, high in WINDOWS
    )
