"""Run a 3-D cascade on a volume."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancascade.imaging.preprocessing import VolumeGrid
from pancascade.imaging.volume import Box, Volume
from pancascade.inference.backends.runnable_cascade import Handover, RunnableCascade
from pancascade.inference.localization.region_probabilities import ProbabilitySource, RegionProbabilities
from pancascade.inference.localization.search_region import Stage1Result, select_search_region
from pancascade.inference.models.additions import ALL, Additions
from pancascade.inference.runners.callbacks import HandOver, Progress
from pancascade.inference.runners.finite_output import require_finite
from pancascade.inference.runners.stopwatch import Stopwatch
from pancascade.results.location import Location


@dataclass(frozen=True)
class VolumeRunner:
    """A 3-D cascade and the grid of its volumes.

    Attributes:
        cascade: The cascade, ready to run.
        grid: Preparation of volumes.
        trained_on: Training data of its weights, as recorded in their checkpoint.
        fallback_search: Whether stage 2 uses stage 1's best candidate where nothing reaches probability ½.
        additions: Which of `segment`'s additions are on.
    """

    cascade: RunnableCascade
    grid: VolumeGrid
    trained_on: tuple[dict[str, Any], ...] = ()
    fallback_search: bool = False
    additions: Additions = ALL

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
        """Return the cascade's prediction in a part of the scan.

        Args:
            volume: The part, LPS, Hounsfield units.
            at: Box of the part in the scan.
            probability_map: Probability of the organ in slices of the volume, in place of stage 1.
            whole_body: Whether the volume spans the body, so that the organ's position can be scored.
            progress: Called after each stage.
            hand_over: Called between the stages.
            clock: Measures the time of each stage.
        """
        clock = clock or Stopwatch()
        with clock.measure("to_network_grid"):
            images = self._images(volume)
        with clock.measure("stage_1"):
            if probability_map is None:
                located = self.cascade.locate(images)
                require_finite(located.probabilities, stage=1)
            else:
                located = self.cascade.from_mask(images, probability_map(0, volume.shape[2])[None, None])
        if progress is not None:
            progress("locate", 1, 1)
        with clock.measure("search_region"):
            located, location = self._selected_region(located, volume, whole_body=whole_body)
        if hand_over is not None:
            located = hand_over(slice(0, volume.shape[2]), None, located)
        region, part, inside = self.cascade.crop_to_rois(images, located)
        if region is None:
            return RegionProbabilities.nothing(location)
        with clock.measure("stage_2"):
            maps = require_finite(self.cascade.segment(part, inside)[0, 1:], stage=2)
        if progress is not None:
            progress("segment", 1, 1)
        with clock.measure("to_scan_grid"):
            return RegionProbabilities.of(maps, region.shift(at.start), location)

    def run_alone(
        self, volume: Volume, *, hand_over: Callable[[Handover], Handover] | None = None
    ) -> tuple[Box, NDArray[np.float32]] | None:
        """Return probabilities (C, *box.shape) in the box where stage 2 works, as in the 3-D paper.

        The networks run in float32, even if the processor is faster with another type. All outside is background.

        Args:
            volume: The whole scan, LPS, Hounsfield units.
            hand_over: Sees, and may change, the hand-over of stage 1.

        Returns:
            Box and probabilities; None if stage 1 found nothing.
        """
        cascade, images = self.cascade.exact(), self._images(volume)
        located = cascade.locate(images)
        require_finite(located.probabilities, stage=1)
        region, part, inside = cascade.crop_to_rois(images, located if hand_over is None else hand_over(located))
        if region is None:
            return None
        return region, require_finite(cascade.segment(part, inside)[0], stage=2)

    def _images(self, volume: Volume) -> NDArray[np.float32]:
        return np.ascontiguousarray(self.grid.window.apply(volume.voxels))[None, None]

    def _selected_region(
        self, located: Handover, volume: Volume, *, whole_body: bool
    ) -> tuple[Handover, Location | None]:
        """Return the hand-over, wider if stage 1 needed the fallback search, and the confidence of the location."""
        if not self.cascade.locates:
            return located, None
        probability_map = located.probabilities[0, 0].transpose(2, 1, 0)
        shrunk = [whole / seen for whole, seen in zip(volume.shape[::-1], probability_map.shape, strict=True)]
        spacing_mm = [step * times for step, times in zip(volume.spacing_mm[::-1], shrunk, strict=True)]
        body = ((0.0, float(probability_map.shape[1])), (0.0, float(probability_map.shape[2]))) if whole_body else None
        stage1_result = Stage1Result(
            probability_map, (spacing_mm[0], spacing_mm[1], spacing_mm[2]), body, self.cascade.first_map_is_mask
        )
        search_region = select_search_region(
            stage1_result, fallback_search=self.fallback_search and self.additions.fallback_search
        )
        if search_region.mask is None:
            return located, search_region.location
        wider = self.cascade.update_rois(located, search_region.mask.transpose(2, 1, 0)[None, None].astype(np.float32))
        return self.cascade.replace_rois(located, wider), search_region.location
