"""Cascades with a box between two networks, of ONNX files."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from pancascade.imaging.preprocessing.resizing import resize
from pancascade.imaging.volume import Box
from pancascade.inference.backends.runnable_cascade import Handover
from pancascade.inference.graphs.graph_cascade import GraphCascade, run_scaled
from pancascade.inference.graphs.map_arrays import Images, compose_three_classes, compose_two_classes, sigmoid
from pancascade.labels import Label
from pancascade.methods.targets import NestedTargets


class TwoStageSettings(NestedTargets):
    """Settings of a cascade with a box between two networks, as far as inference needs them.

    Attributes:
        kind: Kind of cascade.
        handover: ``saliency``: the image is weighted by a transformation of stage 1's map.
        margin: K, in pixels of the canvas.
        crop_size: Height and width of stage 2's input.
        first_scale: Factor by which the canvas is scaled for stage 1.
        helper_organs: Maps of stage 1 that are not handed over.
        presence: Whether stage 1's last map says if a slice shows the organ at all.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Literal["qiu2024", "coarse_to_fine"]
    handover: Literal["saliency", "crop"] = "crop"
    margin: int = Field(ge=0)
    crop_size: tuple[int, int]
    first_scale: float = Field(gt=0)
    helper_organs: tuple[str, ...] = ()
    presence: bool = False


@dataclass(frozen=True, eq=False)
class TwoStageGraphs(GraphCascade):
    """Qiu et al. 2024, and the coarse-to-fine baseline: locate, box, crop, segment, paste.

    Attributes:
        settings: Settings of the cascade.

    Source: methods.md §A2–A4, §B3.
    """

    settings: TwoStageSettings

    locates = True

    @property
    def labels(self) -> tuple[Label, ...]:
        """Segmented labels besides background, in channel order."""
        return self.settings.found

    @property
    def first_target(self) -> tuple[Label, ...]:
        """Labels whose union is the target of stage 1."""
        return self.settings.organ

    def exact(self) -> "TwoStageGraphs":
        """See `RunnableCascade.exact`."""
        return TwoStageGraphs(self.each(True), self.each, self.settings)

    def locate(self, images: Images) -> Handover:
        """See `RunnableCascade.locate`."""
        maps = run_scaled(self.networks["first"], images, self.settings.first_scale)
        probabilities = sigmoid(resize(maps[:, :1], images.shape[-2:]))
        if self.settings.presence:
            # The network gives one value for the slice, repeated over its last map.
            probabilities *= sigmoid(maps[:, 1 + len(self.settings.helper_organs), 0, 0])[:, None, None, None]
        return self._boxed(probabilities)

    def update_rois(self, handover: Handover, probabilities: NDArray[np.floating[Any]]) -> Handover:
        """See `RunnableCascade.update_rois`."""
        return self._boxed(probabilities)

    def segment(self, images: Images, handover: Handover) -> Images:
        """See `RunnableCascade.segment`."""
        first = handover.probabilities.astype(np.float32, copy=False)
        second = np.zeros((len(images), 1, *images.shape[2:]), np.float32)
        kept = [index for index, boxes in enumerate(handover.boxes) if boxes]
        if kept:
            boxes = [handover.boxes[index][0].slices for index in kept]
            seen = images[kept]
            if self.settings.handover == "saliency":
                seen = seen * self.networks["saliency"](first[kept])[-1]
            size = self.settings.crop_size
            crops = [resize(one[(slice(None), *box)], size) for one, box in zip(seen, boxes, strict=True)]
            answers = self.networks["second"](np.stack(crops))[-1]
            for index, box, logits in zip(kept, boxes, answers, strict=True):
                inside = second[index][(slice(None), *box)]
                inside[...] = sigmoid(resize(logits, inside.shape[-2:]))
        return compose_two_classes(second) if self.settings.one_target else compose_three_classes(first, second)

    def _boxed(self, probabilities: NDArray[np.floating[Any]]) -> Handover:
        """Return the box of P ≥ 0.5 with its margin in each image; none where nothing reaches it."""
        boxes = []
        for mask in probabilities[:, 0] >= 0.5:
            box = Box.around(mask)
            boxes.append(() if box is None else (box.expand(self.settings.margin).clip(mask.shape),))
        return Handover(probabilities, tuple(boxes))
