"""Single networks on the whole slice, of an ONNX file."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancascade.imaging.preprocessing.resizing import resize
from pancascade.imaging.volume import Box
from pancascade.inference.backends.runnable_cascade import Handover
from pancascade.inference.graphs.graph_cascade import GraphCascade, run_scaled
from pancascade.inference.graphs.map_arrays import Images, compose_three_classes, compose_two_classes, sigmoid
from pancascade.labels import Label


@dataclass(frozen=True, eq=False)
class OneNetworkGraph(GraphCascade):
    """A single network on the whole slice.

    Attributes:
        targets: Labels with a map of their own, in channel order.
        scale: Factor by which the canvas is scaled for the network.
    """

    targets: tuple[Label, ...]
    scale: float

    locates = False

    @property
    def labels(self) -> tuple[Label, ...]:
        """Segmented labels besides background, in channel order."""
        return tuple(Label)[1 : max(self.targets) + 1]

    @property
    def first_target(self) -> tuple[Label, ...]:
        """Labels whose union is the target of stage 1."""
        return (Label.PANCREAS, Label.TUMOUR)

    def exact(self) -> "OneNetworkGraph":
        """See `RunnableCascade.exact`."""
        return OneNetworkGraph(self.each(True), self.each, self.targets, self.scale)

    def locate(self, images: Images) -> Handover:
        """See `RunnableCascade.locate`."""
        whole = Box.whole(images.shape[2:])
        return Handover(np.ones_like(images[:, :1]), ((whole,),) * len(images))

    def update_rois(self, handover: Handover, probabilities: NDArray[np.floating[Any]]) -> Handover:
        """See `RunnableCascade.update_rois`."""
        return handover

    def segment(self, images: Images, handover: Handover) -> Images:
        """See `RunnableCascade.segment`."""
        maps = sigmoid(resize(run_scaled(self.networks["network"], images, self.scale), images.shape[-2:]))
        if self.targets == (Label.PANCREAS,):
            return compose_two_classes(maps)
        tumour = maps[:, -1:]
        return compose_three_classes(maps[:, :1] if len(self.targets) > 1 else np.zeros_like(tumour), tumour)
