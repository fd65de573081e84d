"""Probabilities of a volume's slices on the network grid, and their mapping back to the scan."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pancascade.imaging.postprocessing import main_components
from pancascade.imaging.preprocessing import Placement
from pancascade.imaging.preprocessing.network_grid import to_scan_grid
from pancascade.imaging.volume import Box, at_least, highest
from pancascade.inference.localization.region_probabilities import FAINT, RegionProbabilities
from pancascade.inference.runners.half_precision import half_precision
from pancascade.results.location import Location

LIKELY = 0.2
"""Least probability that another threshold may turn into organ; all probabilities around it are kept."""

KEPT_MM = 20.0
"""Distance around voxels of `LIKELY` within which probabilities are kept."""

_ROWS = 16


@dataclass
class SliceProbabilities:
    """Foreground probabilities of those slices in which something was found: far smaller than the whole scan.

    Attributes:
        placement: Place of the scan's slices on the network grid.
        count: Number of slices of the volume.
        channels: Number of foreground labels.
        location: Confidence of stage 1's location.
        parts: Maps (B, C, H, W) float16 without background, by their first slice.
    """

    placement: Placement
    count: int
    channels: int
    location: Location | None = None
    parts: dict[int, NDArray[np.float16]] = field(default_factory=dict)

    def put(self, first: int, maps: NDArray[np.float16]) -> None:
        """Keep maps (B, C, H, W) of slices from ``first`` on."""
        self.parts[first] = maps

    def span(self) -> tuple[int, int] | None:
        """Return the first slice with maps, and one past the last; None without maps."""
        if not self.parts:
            return None
        return min(self.parts), max(first + len(maps) for first, maps in self.parts.items())

    def smoothed(self, sigma: float) -> Self:
        """Return a copy averaged along the body with a Gaussian of this standard deviation in slices."""
        span = self.span()
        if span is None:
            return self
        reach = int(4 * sigma + 0.5)
        first, last = max(0, span[0] - reach), min(self.count, span[1] + reach)
        maps = self._dense(first, last)
        for channel in range(maps.shape[1]):
            smooth_along_z_axis(maps[:, channel], sigma)
        return type(self)(self.placement, self.count, self.channels, self.location, {first: maps})

    def on_scan(self, first: int, last: int) -> NDArray[np.float16]:
        """Return foreground probabilities of slices first…last−1 on the scan's pixels, (C, I, J, last − first)."""
        native = np.concatenate([self._native(k) for k in range(first, last)])
        return native.transpose(1, 3, 2, 0)

    def prediction(
        self, at: Box, *, spacing_mm: tuple[float, float, float], one_organ: bool = True
    ) -> RegionProbabilities:
        """Return the prediction on the scan's own pixels.

        Only the part within `KEPT_MM` of voxels of `LIKELY` is mapped back.

        Args:
            at: Box of the scan that the slices fill.
            spacing_mm: Voxel size of the LPS scan.
            one_organ: Whether small components elsewhere may be left out.
        """
        box = self._busy(spacing_mm, one_organ=one_organ)
        if box is None:
            return RegionProbabilities.nothing(self.location)
        columns, rows, slices = box.slices
        maps = np.stack(
            [self._native(k, part=(rows, columns))[0].transpose(0, 2, 1) for k in range(slices.start, slices.stop)],
            axis=-1,
        )
        return RegionProbabilities.of(maps, box.shift(at.start), self.location)

    def _native(self, k: int, *, part: tuple[slice, slice] | None = None) -> NDArray[np.float16]:
        """Return (1, C, h, w) of a slice, or of some of its rows and columns."""
        maps = self._dense(k, k + 1).astype(np.float32)
        return half_precision(to_scan_grid(maps, self.placement, part=part))

    def _dense(self, first: int, last: int) -> NDArray[np.float16]:
        """Return (last − first, C, H, W), zero where nothing was found."""
        dense = np.zeros((last - first, self.channels, *self.placement.canvas), np.float16)
        for start, maps in self.parts.items():
            low, high = max(first, start), min(last, start + len(maps))
            if low < high:
                dense[low - first : high - first] = maps[low - start : high - start]
        return dense

    def _busy(self, spacing_mm: tuple[float, float, float], *, one_organ: bool) -> Box | None:
        """Return the box (I, J, K) of the volume around voxels of `LIKELY`, or around the peak if none is."""
        span = self.span()
        if span is None:
            return None
        maps = self._dense(*span)
        # Half of FAINT, because the threshold below may be 0.9 of a peak of FAINT.
        seen = Box.around(at_least(highest(maps, axis=1), FAINT / 2 / self.channels))
        if seen is None:
            return None
        slices, rows, columns = seen.slices
        organ = maps[slices, :, rows, columns].sum(axis=1, dtype=np.float16)
        peak = float(highest(organ))
        if peak < FAINT:
            return None
        threshold = min(LIKELY, 0.9 * peak)
        likely = main_components(organ, threshold=threshold, share=0.05) if one_organ else organ >= threshold
        box = Box.around(likely)
        if box is None:
            return None
        native = self._to_native(box.shift(seen.start).shift((span[0], 0, 0)))
        return native.expand_mm(KEPT_MM, spacing_mm=spacing_mm).clip((*self.placement.native[::-1], self.count))

    def _to_native(self, box: Box) -> Box:
        """Return the box (I, J, K) of the volume that holds a box (K, H, W) of the network grid."""
        low, high = [], []
        for axis in (1, 0):
            scale = self.placement.native[axis] / self.placement.resized[axis]
            edges = [edge - self.placement.offset[axis] for edge in (box.start[axis + 1], box.stop[axis + 1])]
            low.append(int(np.floor(edges[0] * scale)) - 1)
            high.append(int(np.ceil(edges[1] * scale)) + 1)
        return Box((*low, box.start[0]), (*high, box.stop[0]))


def smooth_along_z_axis(values: NDArray[Any], sigma: float) -> None:
    """Average (K, H, W) over neighbouring slices, in place; by a few rows at a time, to copy little.

    Columns of voxels in which nothing reaches `FAINT` are not changed.
    """
    busy = Box.around(at_least(highest(values, axis=0), FAINT))
    if busy is None:
        return
    columns = busy.slices[1]
    for row in range(busy.start[0], busy.stop[0], _ROWS):
        rows = values[:, row : min(row + _ROWS, busy.stop[0]), columns]
        rows[...] = ndimage.gaussian_filter1d(rows.astype(np.float32), sigma, axis=0, mode="nearest")
