"""A cascade as inference knows it: locate, hand over, segment, all in arrays, whatever runs its networks."""

from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from pancascade.imaging.volume import Box
from pancascade.labels import Label


@dataclass(frozen=True, eq=False)
class Handover:
    """What stage 1 found in each image.

    Attributes:
        probabilities: Stage 1's probability map in [0, 1], (B, 1, *S), or on a coarser grid of its own.
        boxes: Regions of each image that stage 2 works in; none where stage 1 found nothing.
        details: What else the cascade itself needs of it for stage 2.
    """

    probabilities: NDArray[np.floating[Any]]
    boxes: tuple[tuple[Box, ...], ...]
    details: Any = None

    def with_probabilities(self, probabilities: NDArray[np.floating[Any]]) -> Self:
        """The same with another map."""
        return replace(self, probabilities=probabilities)


class RunnableCascade(Protocol):
    """The two stages of a cascade, ready to run.

    Attributes:
        labels: What is segmented besides background, in the channel order of `segment`.
        first_target: Labels that together are what stage 1 looks for.
        locates: Whether there is a stage 1 that can be asked (a single network has none).
        first_map_is_mask: Whether stage 1's probability map covers the organ; a heatmap of keypoints does not.
    """

    @property
    def labels(self) -> tuple[Label, ...]:
        """What is segmented besides background, in channel order."""
        ...

    @property
    def first_target(self) -> tuple[Label, ...]:
        """Labels that together are what stage 1 looks for."""
        ...

    @property
    def locates(self) -> bool:
        """Whether there is a stage 1 that can be asked."""
        ...

    @property
    def first_map_is_mask(self) -> bool:
        """Whether stage 1's map covers the organ."""
        ...

    @property
    def runs_on(self) -> str:
        """What runs its networks, in words; known for sure only after they ran."""
        ...

    def exact(self) -> "RunnableCascade":
        """The same, computing in float32 whatever the processor is faster with."""
        ...

    def locate(self, images: NDArray[np.float32]) -> Handover:
        """Stage 1 on images (B, C, *S) in [0, 1]."""
        ...

    def from_mask(self, images: NDArray[np.float32], probabilities: NDArray[np.float32]) -> Handover:
        """The hand-over that other probabilities (B, 1, *S) of the organ would make."""
        ...

    def update_rois(self, handover: Handover, probabilities: NDArray[np.floating[Any]]) -> Handover:
        """The hand-over with other probabilities in the place of stage 1's own, and boxes that follow them."""
        ...

    def replace_rois(self, handover: Handover, other: Handover) -> Handover:
        """A hand-over with its own probabilities, and the boxes of another one for the same images."""
        ...

    def crop_to_rois(
        self, images: NDArray[np.float32], handover: Handover
    ) -> tuple[Box | None, NDArray[np.float32], Handover]:
        """The part of the images that `segment` needs; None where nothing was located."""
        ...

    def segment(self, images: NDArray[np.float32], handover: Handover) -> NDArray[np.float32]:
        """Probabilities (B, 1 + len(labels), *S), background first, summing to 1."""
        ...
