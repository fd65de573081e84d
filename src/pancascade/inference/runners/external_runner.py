"""Running a network of another program on a scan, or on a region of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pancascade.imaging.volume import Box, Volume, reorient, restore
from pancascade.inference.external.network import ExternalNetwork
from pancascade.inference.localization.region_probabilities import RegionProbabilities
from pancascade.inference.models.additions import ALL, Additions
from pancascade.inference.runners.callbacks import Progress
from pancascade.inference.runners.stopwatch import Stopwatch


@dataclass(frozen=True)
class ExternalRunner:
    """A network of another program, as a step of a model.

    Attributes:
        network: That answers on the grid it is given.
        stored_axes: Where the axes of the scan's file point: networks see the scan as it is stored.
        trained_on: Nobody knows.
        additions: Which of `segment`'s additions are on; none changes what such a network sees.
    """

    network: ExternalNetwork
    stored_axes: str = "LPS"
    trained_on: tuple[dict[str, Any], ...] = ()
    additions: Additions = ALL

    def find(
        self, scan_lps: Volume, *, at: Box, progress: Progress | None = None, clock: Stopwatch | None = None
    ) -> RegionProbabilities:
        """What the network finds in a part of the scan.

        Args:
            scan_lps: The part, LPS, Hounsfield units.
            at: Where in the scan the part lies.
            progress: Called when it is done.
            clock: Where the time goes.
        """
        clock = clock or Stopwatch()
        stored = reorient(scan_lps, self.stored_axes)
        with clock.measure("network"):
            maps = self.network.probabilities(stored)
        if progress is not None:
            progress("network", 1, 1)
        with clock.measure("paste"):
            turned = [restore(stored.with_voxels(one), scan_lps).voxels for one in maps]
            return RegionProbabilities.of(np.stack(turned), at)
