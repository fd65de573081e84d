"""What a scan was found to hold."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancascade.io import write_volume, written_together
from pancascade.labels import Label
from pancascade.volume import Box, Volume

FILES = (
    "segmentation.nii.gz",
    "overview.png",
    "probability_pancreas.nii.gz",
    "probability_tumour.nii.gz",
    "result.json",
)
"""All that `Segmentation.save` may write; what a run does not write, it removes."""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Mask and probabilities on exactly the grid of the scan.

    Attributes:
        scan: The scan as it came.
        mask: Labels (I, J, K) uint8, ids of `Label`, on the scan's grid.
        region: Box of the scan that holds every voxel with a foreground probability; None if there is none.
        region_probabilities: (2, *region.shape) float16: pancreas, tumour.
        model: Name of the model.
        warnings: Plain sentences.
        times_s: Seconds spent, by what was done.
        trained_on: Whom the model's weights have learned from, as far as their checkpoints tell.
    """

    scan: Volume
    mask: Volume
    region: Box | None
    region_probabilities: NDArray[np.float16]
    model: str
    warnings: tuple[str, ...] = ()
    times_s: dict[str, float] = field(default_factory=dict)
    trained_on: tuple[dict[str, Any], ...] = ()

    @property
    def probabilities(self) -> NDArray[np.float16]:
        """Probabilities of background, pancreas and tumour, (3, I, J, K), summing to 1."""
        dense = np.zeros((3, *self.scan.shape), np.float16)
        if self.region is not None:
            dense[(slice(1, None), *self.region.slices)] = self.region_probabilities
        dense[0] = np.clip(1 - dense[1].astype(np.float32) - dense[2], 0, 1)
        return dense

    def save(self, folder: str | Path, *, save_probabilities: bool = False) -> Path:
        """Write ``segmentation.nii.gz``, ``overview.png``, ``result.json`` and, if asked, probabilities.

        Args:
            folder: Made if it is missing.
            save_probabilities: Also write ``probability_pancreas.nii.gz`` and ``probability_tumour.nii.gz``.

        Returns:
            The folder.

        Raises:
            OutputError: The folder cannot be written.
        """
        from pancascade.report import write_overview, write_result

        folder = Path(folder)
        with written_together(folder, names=FILES) as draft:
            write_volume(self.mask, draft / "segmentation.nii.gz")
            write_overview(self.scan, self.mask, draft / "overview.png")
            if save_probabilities:
                for label in (Label.PANCREAS, Label.TUMOUR):
                    dense = np.zeros(self.scan.shape, np.float32)
                    if self.region is not None:
                        dense[self.region.slices] = self.region_probabilities[label - 1]
                    write_volume(self.scan.with_voxels(dense), draft / f"probability_{label.title}.nii.gz")
            write_result(
                self.mask,
                draft / "result.json",
                model=self.model,
                scan=self.scan.name,
                warnings=self.warnings,
                times_s=self.times_s,
                trained_on=self.trained_on,
            )
        return folder
