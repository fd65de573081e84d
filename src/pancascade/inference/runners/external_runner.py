"""Run a network of another program on a scan, or on a region of it."""

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
        network: The network; its probabilities are on the grid of its input.
        stored_axes: Directions of the axes of the scan's file: the network gets the scan as it is stored.
        trained_on: Empty: the training data are unknown.
        additions: Which of `segment`'s additions are on; none changes the input of such a network.
    """

    network: ExternalNetwork
    stored_axes: str = "LPS"
    trained_on: tuple[dict[str, Any], ...] = ()
    additions: Additions = ALL

    def find(
        self, scan_lps: Volume, *, at: Box, progress: Progress | None = None, clock: Stopwatch | None = None
    ) -> RegionProbabilities:
        """Return the network's prediction in a part of the scan.

        Args:
            scan_lps: The part, LPS, Hounsfield units.
            at: Box of the part in the scan.
            progress: Called when it is done.
            clock: Measures the time.
        """
        clock = clock or Stopwatch()
        stored = reorient(scan_lps, self.stored_axes)
        with clock.measure("network"):
            maps = self.network.probabilities(stored)
        if progress is not None:
            progress("network", 1, 1)
        with clock.measure("to_scan_grid"):
            turned = [restore(stored.with_voxels(one), scan_lps).voxels for one in maps]
            return RegionProbabilities.of(np.stack(turned), at)
