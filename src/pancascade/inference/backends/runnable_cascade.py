"""The protocol of a cascade in inference: locate, hand over and segment, on arrays, with any backend."""

from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from pancascade.imaging.volume import Box
from pancascade.labels import Label


@dataclass(frozen=True, eq=False)
class Handover:
    """Result of stage 1 in each image.

    Attributes:
        probabilities: Stage 1's probability map in [0, 1], (B, 1, *S), or on a coarser grid.
        boxes: Regions of each image in which stage 2 works; none where stage 1 found nothing.
        details: Further data that the cascade needs for its stage 2.
    """

    probabilities: NDArray[np.floating[Any]]
    boxes: tuple[tuple[Box, ...], ...]
    details: Any = None

    def with_probabilities(self, probabilities: NDArray[np.floating[Any]]) -> Self:
        """Return a copy with another probability map."""
        return replace(self, probabilities=probabilities)


class RunnableCascade(Protocol):
    """The two stages of a cascade, ready to run.

    Attributes:
        labels: Segmented labels besides background, in the channel order of `segment`.
        first_target: Labels whose union is the target of stage 1.
        locates: Whether there is a stage 1 that can run alone (a single network has none).
        first_map_is_mask: Whether stage 1's probability map covers the organ; a heatmap of keypoints does not.
    """

    @property
    def labels(self) -> tuple[Label, ...]:
        """Segmented labels besides background, in channel order."""
        ...

    @property
    def first_target(self) -> tuple[Label, ...]:
        """Labels whose union is the target of stage 1."""
        ...

    @property
    def locates(self) -> bool:
        """Whether there is a stage 1 that can run alone."""
        ...

    @property
    def first_map_is_mask(self) -> bool:
        """Whether stage 1's map covers the organ."""
        ...

    @property
    def runs_on(self) -> str:
        """What runs its networks, in words; final only after they ran."""
        ...

    def exact(self) -> "RunnableCascade":
        """Return a copy that computes in float32, even if the processor is faster with another type."""
        ...

    def locate(self, images: NDArray[np.float32]) -> Handover:
        """Run stage 1 on images (B, C, *S) in [0, 1]."""
        ...

    def from_mask(self, images: NDArray[np.float32], probabilities: NDArray[np.float32]) -> Handover:
        """Return the hand-over for given probabilities (B, 1, *S) of the organ."""
        ...

    def update_rois(self, handover: Handover, probabilities: NDArray[np.floating[Any]]) -> Handover:
        """Replace stage 1's probabilities in a hand-over, and select the boxes from them."""
        ...

    def replace_rois(self, handover: Handover, other: Handover) -> Handover:
        """Return the hand-over with the boxes of another one for the same images."""
        ...

    def crop_to_rois(
        self, images: NDArray[np.float32], handover: Handover
    ) -> tuple[Box | None, NDArray[np.float32], Handover]:
        """Return the part of the images that `segment` needs; its box is None where nothing was located."""
        ...

    def segment(self, images: NDArray[np.float32], handover: Handover) -> NDArray[np.float32]:
        """Return probabilities (B, 1 + len(labels), *S), background first, summing to 1."""
        ...
