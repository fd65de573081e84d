"""The canvas: a 2-D network grid of fixed size and pixel spacing for the axial slices of any scan."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pancascade.imaging.preprocessing.window import Window
from pancascade.imaging.volume import sampled
from pancascade.settings import Settings, UNetSize

SOFT_TISSUE_HU = 20
"""Organs, muscle and bone lie above this, also in 8-bit pictures whose window starts at 0 HU."""


class Canvas(Settings):
    """Settings of the grid on which slices enter a 2-D cascade.

    Attributes:
        size: Height and width in pixels, each divisible by 16.
        spacing_mm: Pixel spacing of the canvas; None keeps the scan's own pixels.
        window: Hounsfield window mapped to [0, 1].
        centre: What lies in the middle of the canvas: the centre of the ``image``, or of its soft ``tissue``.
        larger_slices: What inference does with slices that do not fit: ``grow`` the canvas, or ``cut`` the slices as
            training does. Networks that learned where organs lie on a canvas centred on tissue need ``cut``.
        assumed_spacing_mm: Pixel spacing of slices that have none (pictures).
        neighbours: Ours: number of slices below and above that are further channels, ordered from the lowest to the
            highest; the slice itself is the middle channel. Networks then need ``in_channels`` of 1 + 2 · neighbours.
        neighbour_mm: Distance between neighbours in mm, for any slice spacing; interpolated linearly between slices.
    """

    size: UNetSize = (512, 512)
    spacing_mm: float | None = Field(default=None, gt=0)
    window: Window = Window()
    centre: Literal["image", "tissue"] = "image"
    larger_slices: Literal["grow", "cut"] = "grow"
    assumed_spacing_mm: float = Field(default=0.8, gt=0)
    neighbours: int = Field(default=0, ge=0, le=8)
    neighbour_mm: float = Field(default=3.0, gt=0)

    @property
    def channels(self) -> int:
        """Number of channels of an image: the slice and its neighbours."""
        return 1 + 2 * self.neighbours


@dataclass(frozen=True)
class Placement:
    """Position of slices on their canvas.

    Attributes:
        native: Height and width of the original slices.
        resized: Height and width after resampling to the canvas spacing.
        offset: Row and column on the canvas of the resized slice's first pixel; negative if it is cut.
        canvas: Height and width of the canvas.
    """

    native: tuple[int, int]
    resized: tuple[int, int]
    offset: tuple[int, int]
    canvas: tuple[int, int]


def find_placement(
    hu: NDArray[Any], *, spacing_mm: tuple[float, float] | None, canvas: Canvas, grow: bool
) -> Placement:
    """Return the position of slices on a canvas: centred, at the canvas spacing.

    Args:
        hu: Slices (..., H, W) of one size and spacing in Hounsfield units; all get the same position.
        spacing_mm: Row and column spacing; None uses ``canvas.assumed_spacing_mm``.
        canvas: The canvas.
        grow: Enlarge the canvas (to a multiple of 32) where a slice is larger; False cuts the slice.
    """
    native = (hu.shape[-2], hu.shape[-1])
    if canvas.spacing_mm is None:
        resized = native
    else:
        row_mm, column_mm = spacing_mm or (canvas.assumed_spacing_mm, canvas.assumed_spacing_mm)
        resized = (
            max(1, round(native[0] * row_mm / canvas.spacing_mm)),
            max(1, round(native[1] * column_mm / canvas.spacing_mm)),
        )
    grid_size = canvas.size
    if grow:
        grid_size = (max(grid_size[0], -(-resized[0] // 32) * 32), max(grid_size[1], -(-resized[1] // 32) * 32))
    offset = [(grid_size[0] - resized[0]) // 2, (grid_size[1] - resized[1]) // 2]
    if canvas.centre == "tissue":
        for axis, middle in enumerate(_tissue_centre(hu)):
            wanted = grid_size[axis] // 2 - round(middle * resized[axis] / native[axis])
            # A slice that fits stays whole; a larger one covers the canvas.
            free = grid_size[axis] - resized[axis]
            offset[axis] = min(max(wanted, min(0, free)), max(0, free))
    return Placement(native, resized, (offset[0], offset[1]), grid_size)


def _tissue_centre(hu: NDArray[Any]) -> tuple[float, float]:
    """Return row and column of the centre of mass of soft tissue; the image centre if there is none."""
    step = max(1, hu.shape[-1] // 128)
    tissue = sampled(hu, (*(1,) * (hu.ndim - 2), step, step)) > SOFT_TISSUE_HU
    rows, columns = np.nonzero(tissue.any(axis=0) if tissue.ndim > 2 else tissue)
    if rows.size == 0:
        return hu.shape[-2] / 2, hu.shape[-1] / 2
    return float(rows.mean() + 0.5) * step, float(columns.mean() + 0.5) * step
