"""What all cascades on slices share whose networks are ONNX files: what lies between the networks, in NumPy.

They compute the same as the cascades of `pancascade.methods.cascades` at inference; tests compare both.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancascade.imaging.preprocessing.resizing import resize
from pancascade.imaging.volume import Box
from pancascade.inference.backends.runnable_cascade import Handover
from pancascade.inference.graphs.graph_network import GraphNetwork
from pancascade.inference.graphs.map_arrays import Images
from pancascade.labels import Label

Networks = Callable[[bool], Mapping[str, GraphNetwork]]
"""Returns the networks, in float32 only or in the processor's fastest precision."""


@dataclass(frozen=True, eq=False)
class GraphCascade(ABC):
    """See `pancascade.inference.backends.runnable_cascade.RunnableCascade`.

    Attributes:
        networks: Networks by their name in the cascade.
        each: Returns the networks in another precision.
    """

    networks: Mapping[str, GraphNetwork]
    each: Networks

    first_map_is_mask = True

    @property
    @abstractmethod
    def labels(self) -> tuple[Label, ...]:
        """Segmented labels besides background, in channel order."""
        ...

    @property
    @abstractmethod
    def first_target(self) -> tuple[Label, ...]:
        """Labels whose union is the target of stage 1."""
        ...

    @property
    @abstractmethod
    def locates(self) -> bool:
        """Whether there is a stage 1 that can run alone."""
        ...

    @property
    def runs_on(self) -> str:
        """See `RunnableCascade.runs_on`."""
        return next(iter(self.networks.values())).runs_on

    @abstractmethod
    def exact(self) -> "GraphCascade":
        """See `RunnableCascade.exact`."""
        ...

    @abstractmethod
    def locate(self, images: Images) -> Handover:
        """See `RunnableCascade.locate`."""
        ...

    @abstractmethod
    def update_rois(self, handover: Handover, probabilities: NDArray[np.floating[Any]]) -> Handover:
        """See `RunnableCascade.update_rois`."""
        ...

    @abstractmethod
    def segment(self, images: Images, handover: Handover) -> Images:
        """See `RunnableCascade.segment`."""
        ...

    def from_mask(self, images: Images, probabilities: Images) -> Handover:
        """See `RunnableCascade.from_mask`."""
        return self.update_rois(Handover(probabilities, ((),) * len(images)), probabilities)

    def replace_rois(self, handover: Handover, other: Handover) -> Handover:
        """See `RunnableCascade.replace_rois`."""
        return Handover(handover.probabilities, other.boxes)

    def crop_to_rois(self, images: Images, handover: Handover) -> tuple[Box | None, Images, Handover]:
        """See `RunnableCascade.crop_to_rois`."""
        return Box.whole(images.shape[2:]), images, handover


def run_scaled(network: GraphNetwork, images: Images, scale: float) -> Images:
    """Return the last output of a network for images scaled to multiples of 16, at that size."""
    if scale != 1.0:
        height, width = (max(16, 16 * round(side * scale / 16)) for side in images.shape[-2:])
        images = resize(images, (height, width), antialias=True)
    return network(images)[-1]
