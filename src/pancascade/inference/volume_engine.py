"""Running a 3-D cascade on a volume."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pancascade.cascades import Cascade
from pancascade.inference.engine import HandOver, Progress, has_fast_bfloat16
from pancascade.inference.finding import Finding
from pancascade.preprocessing import VolumeGrid
from pancascade.volume import Box, Volume


@dataclass(frozen=True)
class VolumeEngine:
    """A 3-D cascade on a device.

    Attributes:
        cascade: In evaluation mode.
        grid: How volumes reach it.
        device: Where it runs.
        trained_on: Whom its weights have learned from, as their checkpoint tells.
    """

    cascade: Cascade
    grid: VolumeGrid
    device: torch.device
    trained_on: tuple[dict[str, Any], ...] = ()

    @torch.inference_mode()
    def find(
        self,
        volume: Volume,
        *,
        at: Box,
        belief: NDArray[np.float32] | None = None,
        progress: Progress | None = None,
        hand_over: HandOver | None = None,
    ) -> Finding:
        """What the cascade finds in a part of the scan.

        Args:
            volume: The part, upright, Hounsfield units.
            at: Where in the scan the part lies.
            belief: In place of stage 1's, probability of the organ, of the volume's shape.
            progress: Called after each stage.
            hand_over: Called between the stages.
        """
        shown = self.grid.window.apply(volume.voxels)
        images = torch.from_numpy(np.ascontiguousarray(shown))[None, None].to(self.device)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=has_fast_bfloat16(self.device)):
            if belief is None:
                located = self.cascade.locate(images)
            else:
                located = self.cascade.take_over(images, torch.from_numpy(belief)[None, None].to(self.device))
            if progress is not None:
                progress("locate", 1, 1)
            if hand_over is not None:
                located = hand_over(slice(0, volume.shape[2]), None, located)
            region, part, inside = self.cascade.focus(images, located)
            if region is None:
                return Finding.nothing()
            maps = self.cascade.segment(part, inside)[0, 1:]
        if progress is not None:
            progress("segment", 1, 1)
        return Finding.of(maps.float().cpu().numpy(), region.shift(at.start))
