"""Cascades on slices whose networks may be ONNX files: the operations between the networks, in NumPy.

They compute the same as the cascades of `pancascade.methods.cascades` at inference; tests compare both.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from pancascade.imaging.preprocessing.resizing import resize
from pancascade.imaging.volume import Box
from pancascade.inference.backends.runnable_cascade import Handover
from pancascade.inference.graphs.graph_network import GraphNetwork
from pancascade.labels import Label
from pancascade.methods.targets import NestedTargets

Images = NDArray[np.float32]

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
        maps = _scaled(self.networks["first"], images, self.settings.first_scale)
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
        return _two_classes(second) if self.settings.one_target else _three_classes(first, second)

    def _boxed(self, probabilities: NDArray[np.floating[Any]]) -> Handover:
        """Return the box of P ≥ 0.5 with its margin in each image; none where nothing reaches it."""
        boxes = []
        for mask in probabilities[:, 0] >= 0.5:
            box = Box.around(mask)
            boxes.append(() if box is None else (box.expand(self.settings.margin).clip(mask.shape),))
        return Handover(probabilities, tuple(boxes))


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
        maps = sigmoid(resize(_scaled(self.networks["network"], images, self.scale), images.shape[-2:]))
        if self.targets == (Label.PANCREAS,):
            return _two_classes(maps)
        tumour = maps[:, -1:]
        return _three_classes(maps[:, :1] if len(self.targets) > 1 else np.zeros_like(tumour), tumour)


def _two_stages(settings: dict[str, Any], networks: Networks) -> GraphCascade:
    read = TwoStageSettings.model_validate(settings)
    saliency = ("saliency",) if read.handover == "saliency" else ()
    return TwoStageGraphs(_named(networks, "first", "second", *saliency), networks, read)


def _single(settings: dict[str, Any], networks: Networks) -> GraphCascade:
    targets = tuple(sorted(Label[name.upper()] for name in settings["labels"]))
    return OneNetworkGraph(_named(networks, "network"), networks, targets, float(settings["scale"]))


def _dsms(settings: dict[str, Any], networks: Networks) -> GraphCascade:
    nested = settings.get("target") == "nested"
    targets = (Label.PANCREAS, Label.TUMOUR) if nested else (Label.PANCREAS,)
    return OneNetworkGraph(_named(networks, "network"), networks, targets, 1.0)


def _named(networks: Networks, *needed: str) -> Mapping[str, GraphNetwork]:
    """Return the networks; refuse them if one that the cascade needs is missing."""
    found = networks(False)
    missing = [name for name in needed if name not in found]
    if missing:
        raise ValueError(f"there is no network {missing[0]}")
    return found


CASCADES: dict[str, Callable[[dict[str, Any], Networks], GraphCascade]] = {
    "qiu2024": _two_stages,
    "coarse_to_fine": _two_stages,
    "single_stage": _single,
    "dsms_unet": _dsms,
}
"""Function that makes a cascade of ONNX files, by its kind."""


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1 / (1 + exp(−x)), without overflow."""
    return np.float32(1) / (np.float32(1) + np.exp(-np.clip(logits, np.float32(-80), np.float32(80))))


def _scaled(network: GraphNetwork, images: Images, scale: float) -> Images:
    """Return the last output of a network for images scaled to multiples of 16, at that size."""
    if scale != 1.0:
        height, width = (max(16, 16 * round(side * scale / 16)) for side in images.shape[-2:])
        images = resize(images, (height, width), antialias=True)
    return network(images)[-1]


def _two_classes(second: Images) -> Images:
    return np.concatenate((1 - second, second), axis=1)


def _three_classes(first: Images, second: Images) -> Images:
    """Return q_b = (1 − P₂)(1 − P₁), q_p = (1 − P₂) P₁, q_t = P₂ (methods.md §A2)."""
    rest = 1 - second
    return np.concatenate((rest * (1 - first), rest * first, second), axis=1)
