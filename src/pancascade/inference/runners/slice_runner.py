"""Run a 2-D cascade through a volume, slice by slice in batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancascade.imaging.preprocessing import Canvas, Placement, find_placement
from pancascade.imaging.preprocessing.network_grid import to_network_grid, to_scan_grid
from pancascade.imaging.volume import Box, Volume
from pancascade.inference.backends.runnable_cascade import Handover, RunnableCascade
from pancascade.inference.localization.region_probabilities import ProbabilitySource, RegionProbabilities
from pancascade.inference.localization.search_region import SearchRegion, select_search_region
from pancascade.inference.models.additions import ALL, Additions
from pancascade.inference.runners.callbacks import HandOver, Progress
from pancascade.inference.runners.finite_output import require_finite
from pancascade.inference.runners.half_precision import half_precision
from pancascade.inference.runners.slice_batches import (
    parts_of,
    slices_on_network_grid,
    stage1_result_on_grid,
)
from pancascade.inference.runners.slice_probabilities import SliceProbabilities, smooth_along_z_axis
from pancascade.inference.runners.stage1_slices import locate_slices
from pancascade.inference.runners.stopwatch import Stopwatch

SMOOTHING_MM = 2.0
"""Standard deviation of the smoothing of both stages' probabilities along the body, chosen on validation patients."""

VIEW_SCALES = (1.0, 0.92, 1.08)
"""Pixel sizes of the views that ``--tta`` averages, relative to the canvas's."""


@dataclass(frozen=True)
class SliceRunner:
    """A 2-D cascade on a volume.

    Attributes:
        cascade: The cascade, ready to run.
        canvas: Preparation of slices.
        smooth_along_z: Whether stage 1 is smoothed along the z axis before stage 2.
        trained_on: Training data of its weights, as recorded in their checkpoint.
        fallback_search: Whether stage 2 uses stage 1's best candidate where nothing reaches probability ½.
        additions: Which of `segment`'s additions are on.
    """

    cascade: RunnableCascade
    canvas: Canvas
    smooth_along_z: bool = True
    trained_on: tuple[dict[str, Any], ...] = ()
    fallback_search: bool = False
    additions: Additions = ALL

    @property
    def grows(self) -> bool:
        """Whether the canvas grows for larger slices."""
        return self.canvas.larger_slices == "grow"

    def views(self, pixel_mm: float) -> "list[SliceRunner]":
        """Return the runners for test-time augmentation: at the usual pixel size, and at two others.

        Args:
            pixel_mm: Pixel size of the scan, for a canvas that keeps the scan's own pixels.
        """
        own = self.canvas.spacing_mm or pixel_mm
        spacings_mm = [self.canvas.spacing_mm, *(scale * own for scale in VIEW_SCALES[1:])]
        return [replace(self, canvas=self.canvas.model_copy(update={"spacing_mm": mm})) for mm in spacings_mm]

    def find(
        self,
        volume: Volume,
        *,
        at: Box,
        probability_map: ProbabilitySource | None = None,
        whole_body: bool = False,
        progress: Progress | None = None,
        hand_over: HandOver | None = None,
        clock: Stopwatch | None = None,
    ) -> RegionProbabilities:
        """Return the cascade's prediction in a part of the scan; arguments as for `run`.

        Args:
            volume: The part, LPS.
            at: Box of the part in the scan.
            probability_map: See `run`.
            whole_body: See `run`.
            progress: See `run`.
            hand_over: See `run`.
            clock: See `run`.
        """
        clock = clock or Stopwatch()
        maps = self.run(
            volume,
            probability_map=probability_map,
            whole_body=whole_body,
            progress=progress,
            hand_over=hand_over,
            clock=clock,
        )
        with clock.measure("to_scan_grid"):
            return maps.prediction(at, spacing_mm=volume.spacing_mm, one_organ=self.additions.component_rules)

    def run(
        self,
        volume: Volume,
        *,
        probability_map: ProbabilitySource | None = None,
        whole_body: bool = False,
        progress: Progress | None = None,
        hand_over: HandOver | None = None,
        clock: Stopwatch | None = None,
    ) -> SliceProbabilities:
        """Locate in all slices, smooth along the z axis, score the location, then segment.

        Args:
            volume: Hounsfield units, oriented LPS.
            probability_map: Probability of the organ in slices of the volume, in place of stage 1.
            whole_body: Whether the volume spans the body, so that the organ's position can be scored.
            progress: Called after each batch.
            hand_over: Called between the stages, for each batch.
            clock: Measures the time of each stage.
        """
        clock = clock or Stopwatch()
        column_mm, row_mm, slice_mm = volume.spacing_mm
        placement = find_placement(
            volume.voxels.transpose(2, 1, 0), spacing_mm=(row_mm, column_mm), canvas=self.canvas, grow=self.grows
        )
        located = locate_slices(
            self.cascade,
            volume,
            placement,
            canvas=self.canvas,
            skip=self._may_skip,
            probability_map=probability_map,
            progress=progress,
            clock=clock,
        )
        with clock.measure("search_region"):
            search_region = self._select_region(located, placement, volume.spacing_mm, whole_body=whole_body)
        maps = SliceProbabilities(placement, volume.shape[2], len(self.cascade.labels), search_region.location)
        for found, part in zip(located, parts_of(volume.shape[2]), strict=True):
            with clock.measure("handover"):
                handed_over = self._hand_over(found, search_region, part)
                if hand_over is not None:
                    handed_over = hand_over(part, placement, handed_over)
            if any(handed_over.boxes):
                with clock.measure("to_network_grid"):
                    images = slices_on_network_grid(volume, placement, part, canvas=self.canvas)
                with clock.measure("stage_2"):
                    found_there = half_precision(self.cascade.segment(images, handed_over)[:, 1:])
                    maps.put(part.start, require_finite(found_there, stage=2))
            if progress is not None:
                progress("segment", part.stop, volume.shape[2])
        with clock.measure("smooth_along_z"):
            return maps.smoothed(SMOOTHING_MM / slice_mm) if self._smooths else maps

    @property
    def _smooths(self) -> bool:
        return self.smooth_along_z and self.additions.smoothing

    @property
    def _may_skip(self) -> bool:
        """Whether slices between two that stage 1 has seen can be interpolated from both probability maps."""
        return self._smooths and self.cascade.locates and self.cascade.first_map_is_mask

    def run_alone(
        self,
        images: NDArray[np.float32],
        placements: Sequence[Placement],
        *,
        hand_over: Callable[[Handover], Handover] | None = None,
    ) -> list[NDArray[np.float32]]:
        """Return probabilities (C, h, w) of slices on their own pixels, each slice alone, as in the 2-D papers.

        Locate, box, crop, segment, paste; in float32, even if the processor is faster with another type.

        Args:
            images: (B, channels, H, W) on the network grid.
            placements: Placement of each slice.
            hand_over: Sees, and may change, the hand-over of stage 1.
        """
        cascade = self.cascade.exact()
        located = cascade.locate(images)
        maps = cascade.segment(images, located if hand_over is None else hand_over(located))
        found = []
        for one, placement in zip(require_finite(maps[:, 1:], stage=2), placements, strict=True):
            foreground = to_scan_grid(one[None], placement)[0]
            # Pixels outside the canvas are background.
            background = np.maximum(1 - foreground.sum(axis=0, keepdims=True), 0)
            found.append(np.concatenate((background, foreground)))
        return found

    def run_slice(self, hu: NDArray[np.int16], spacing_mm: tuple[float, float] | None) -> NDArray[np.float32]:
        """Return the same for a single axial slice, (C, H, W); arguments as for `slice_on_network_grid`."""
        image, placement = self.slice_on_network_grid(hu, spacing_mm)
        return self.run_alone(image, [placement])[0]

    def slice_on_network_grid(
        self, hu: NDArray[np.int16], spacing_mm: tuple[float, float] | None
    ) -> tuple[NDArray[np.float32], Placement]:
        """Return one axial slice on the network grid, (1, channels, H, W), and its placement; neighbours are copies.

        Args:
            hu: (H, W), row 0 anterior, column 0 the patient's right.
            spacing_mm: Row and column spacing; None uses the canvas's assumption.
        """
        placement = find_placement(hu, spacing_mm=spacing_mm, canvas=self.canvas, grow=self.grows)
        drawn = to_network_grid(self.canvas.window.apply(hu)[None, None], placement)
        return np.repeat(drawn, self.canvas.channels, axis=1), placement

    def _select_region(
        self, located: list[Handover], placement: Placement, spacing_mm: tuple[float, float, float], *, whole_body: bool
    ) -> SearchRegion:
        """Select the region for stage 2 from stage 1's probability map in all slices."""
        together = np.concatenate([found.probabilities for found in located])
        for place, part in enumerate(parts_of(len(together))):  # one copy in memory, not two
            located[place] = located[place].with_probabilities(together[part])
        probability_map = together[:, 0]
        if not (self.smooth_along_z and self.cascade.locates):
            return SearchRegion(probability_map)
        if self._smooths:
            smooth_along_z_axis(probability_map, SMOOTHING_MM / spacing_mm[2])
        stage1_result = stage1_result_on_grid(
            probability_map, placement, spacing_mm, whole_body=whole_body, is_mask=self.cascade.first_map_is_mask
        )
        fallback_search = self.fallback_search and self.additions.fallback_search
        return select_search_region(
            stage1_result, fallback_search=fallback_search, one_organ=self.additions.component_rules
        )

    def _hand_over(self, found: Handover, search_region: SearchRegion, part: slice) -> Handover:
        handed_over = self.cascade.update_rois(found, search_region.probability_map[part, None].astype(np.float32))
        if search_region.mask is None:
            return handed_over
        mask = search_region.mask[part, None].astype(np.float32)
        return self.cascade.replace_rois(handed_over, self.cascade.update_rois(found, mask))
