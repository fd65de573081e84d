"""Coarse to fine: segment, crop to the box of the result, segment again; the stages are trained separately."""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from pancascade.imaging.volume import Box
from pancascade.methods.cascades.class_probabilities import compose_classes, compose_two_classes
from pancascade.methods.cascades.loss_choice import SegmentationLoss
from pancascade.methods.cascades.network_passes import run_scaled
from pancascade.methods.cascades.protocol import Cascade, Located, is_any
from pancascade.methods.cascades.tensor_crops import (
    CROPPED,
    box_around,
    crop_and_resize,
    hand_over,
    random_margin,
    resize_and_paste,
)
from pancascade.methods.losses import segmentation_loss
from pancascade.methods.networks import MapNetwork, NetworkSettings, OneMapNetwork
from pancascade.methods.targets import COMPOSED, NestedTargets
from pancascade.settings import UNetSize


class CoarseToFineSettings(NestedTargets):
    """Settings of the baseline; the defaults are those of L-SNet's tables (methods.md §B3).

    Attributes:
        first: Stage 1's network; a single logit map.
        second: Stage 2's network; only the last of several logit maps is used, also in training.
        second_labels: Target of stage 2: the same as stage 1, or the tumour (row M-P of Qiu et al. 2024).
        margin: Border around the box, in pixels of the canvas.
        margins: ``random``: training varies the border, each side up to twice as wide; ``fixed``: constant.
        crop_size: Height and width of stage 2's input.
        first_scale: Factor by which the canvas is scaled for stage 1.
        loss: Loss of both stages. L-SNet's Table 3 exchanges only stage 1 and repeats the row of Table 1: ℓ_FD.
    """

    kind: Literal["coarse_to_fine"] = "coarse_to_fine"
    first: OneMapNetwork = NetworkSettings(name="unet")
    second: MapNetwork = NetworkSettings(name="unet")
    second_labels: tuple[Literal["pancreas", "tumour"], ...] = Field(default=("pancreas", "tumour"), min_length=1)
    margin: int = Field(default=15, ge=0)
    margins: Literal["fixed", "random"] = "fixed"
    crop_size: UNetSize = (320, 320)
    first_scale: float = Field(default=1.0, gt=0)
    loss: SegmentationLoss = "focal_dice"


class CoarseToFine(Cascade):
    """Two networks joined only by a box: stage 2 gives stage 1 no gradient.

    Source: L-SNet, Table 1, "coarse-to-fine", and its baseline without recalibration; methods.md §B3, §B6.
    """

    dimensions = 2
    phases = ("first", "second", "both")
    export_chain = (
        "first: the canvas, scaled by first_scale to the input's size (bilinear, antialiased); resize its logits back "
        "to the canvas (bilinear); P = sigmoid(logits).",
        CROPPED,
        COMPOSED,
    )

    def __init__(self, settings: CoarseToFineSettings) -> None:
        super().__init__()
        self.settings = settings
        self.first = settings.first.build()
        self.second = settings.second.build()
        self.labels = settings.found
        self.first_target = settings.organ

    # ── stages ──

    def first_logits(self, images: Tensor) -> Tensor:
        """Return stage 1's logits (B, 1, H, W), float32, of images (B, 1, H, W)."""
        return run_scaled(self.first, images, self.settings.first_scale)

    def second_logits(self, images: Tensor, boxes: Sequence[Box]) -> Tensor:
        """Return stage 2's logits (B, 1, *crop_size), float32, of each image's box."""
        maps = self.second(crop_and_resize(images, boxes, self.settings.crop_size))
        last: Tensor = maps[-1] if isinstance(maps, tuple) else maps
        return last.float()

    # ── training ──

    def losses(
        self, images: Tensor, labels: Tensor, *, phase: str, generator: Generator
    ) -> Iterator[dict[str, Tensor]]:
        """Yield each stage's own loss; ``both`` trains both stages, each only by its own loss.

        Crops of stage 2 use the reference. A slice without target has no box and trains stage 1 only. A batch of such
        slices yields nothing in the phase ``second``.
        """
        found: dict[str, Tensor] = {}
        organ = is_any(labels, self.settings.organ)
        if phase != "second":
            found["first"] = self._loss(self.first_logits(images), organ)
        if phase != "first":
            boxes = [box_around(mask, margin=self._margin(generator)) for mask in organ[:, 0] > 0]
            kept = [index for index, box in enumerate(boxes) if box is not None]
            if kept:
                inside = [box for box in boxes if box is not None]
                target = is_any(labels, self.settings.target)[kept]
                truth = crop_and_resize(target, inside, self.settings.crop_size, mode="nearest-exact")
                found["second"] = self._loss(self.second_logits(images[kept], inside), truth)
        if found:
            yield found

    def pass_over(self, count: int, *, phase: str, objective: int, generator: Generator) -> None:
        """Draw a margin for each image; see `Cascade.pass_over`."""
        if phase != "first" and objective == 0:
            for _ in range(count):
                self._margin(generator)

    def _margin(self, generator: Generator) -> int | list[tuple[int, int]]:
        margin = self.settings.margin
        return random_margin(margin, generator) if self.settings.margins == "random" else margin

    def _loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return segmentation_loss(logits, target, kind=self.settings.loss)

    # ── inference ──

    def locate(self, images: Tensor) -> Located:
        """Return P of stage 1 and the box of P ≥ 0.5 with its border."""
        return hand_over(torch.sigmoid(self.first_logits(images)), margin=self.settings.margin)

    def update_rois(self, located: Located, probabilities: Tensor) -> Located:
        """Return the boxes of the new probabilities; see `Cascade.update_rois`."""
        return hand_over(probabilities, margin=self.settings.margin)

    def segment(self, images: Tensor, located: Located) -> Tensor:
        """Return stage 2's pasted probabilities, for two targets composed with stage 1's. See `Cascade.segment`."""
        second = torch.zeros_like(located.probabilities)
        kept = [index for index, boxes in enumerate(located.boxes) if boxes]
        if kept:
            boxes = [located.boxes[index][0] for index in kept]
            canvas = (images.shape[-2], images.shape[-1])
            second[kept] = torch.sigmoid(resize_and_paste(self.second_logits(images[kept], boxes), boxes, canvas))
        return (
            compose_two_classes(second) if self.settings.one_target else compose_classes(located.probabilities, second)
        )
