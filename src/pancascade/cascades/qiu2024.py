"""Qiu et al. 2024: multi-scale U-Net → saliency transformation → focusing network, trained jointly."""

from collections.abc import Iterator, Sequence
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor
from torch.nn import functional

from pancascade.cascades.cropping import box_around, crop_and_resize, hand_over, random_margin, resize_and_paste
from pancascade.cascades.helper_organs import FirstMaps, helper_loss
from pancascade.cascades.protocol import Cascade, Located, evaluating, is_any, run_scaled
from pancascade.cascades.targets import NestedTargets
from pancascade.labels import HelperOrgan
from pancascade.losses import (
    SharedBoundaryEncoder,
    bce_iou_loss,
    bce_loss,
    compose_classes,
    compose_two_classes,
    dice_loss,
    pretrain_boundary_encoder,
    second_stage_loss,
    shared_boundary_loss,
)
from pancascade.losses.shared_boundary import BoundaryForm, Neighbourhood
from pancascade.losses.structure import DeepSupervision, WeightedBce
from pancascade.networks import MapNetwork, NetworkSettings, OneMapNetwork, SaliencyTransformation
from pancascade.settings import UNetSize
from pancascade.volume import Box


class Qiu2024Settings(NestedTargets):
    """Every choice of the method; the defaults are those of methods.md §A.

    Attributes:
        first: Stage 1's network; its single logit map is P before the sigmoid.
        second: Stage 2's network; several logit maps (the last is the answer) or one.
        handover: ``saliency`` joins the stages (ablation switch T), ``crop`` leaves them apart (switch P).
        margin: K, in pixels of the canvas.
        crop_size: Height and width of stage 2's input.
        crop_reference: What J crops by: the first stage, or the second where both find the same thing.
        first_scale: Stage 1 sees the canvas scaled by this factor.
        first_loss: Eq. 10, or with binary cross-entropy added, which teaches slices without target as well.
        weighted_bce: Reading of L_wbce.
        deep_supervision: Reading of Eq. 13.
        boundary_form: Form of the shared-boundary matrix.
        boundary_neighbourhood: 4 or 8 neighbours.
        boundary_counts_frame: Whether the image frame is perimeter.
        boundary_encoder_steps: Steps in which the form ``encoder`` is fitted before training.
        helper_organs: Ours: further organs that stage 1 learns, each with a map of its own, where a label map outlines
            them; they are not handed over.
        helper_weight: Of their cross-entropy.
        presence: Ours: whether stage 1's network also tells if a slice shows the organ; P is then the product of both.
        presence_weight: Of that answer's cross-entropy.
        boundary_in_s: Whether step S has the boundary loss, then with stage 1 detached.
        alpha: Weight of stage 2's loss, Eq. 17.
        beta: Weight of the shared-boundary loss, Eq. 17.
        recurrence_rounds: Rounds in which stage 2's probabilities replace stage 1's at test time, 0 for one
            pass; only where both stages find the same thing (RSTN).
    """

    kind: Literal["qiu2024"] = "qiu2024"
    first: OneMapNetwork = NetworkSettings(name="multiscale_unet")
    second: MapNetwork = NetworkSettings(name="focusing_net")
    handover: Literal["saliency", "crop"] = "saliency"
    margin: int = Field(default=20, ge=0)
    crop_size: UNetSize = (320, 320)
    crop_reference: Literal["first_stage", "second_stage"] = "first_stage"
    first_scale: float = Field(default=1.0, gt=0, le=4)
    first_loss: Literal["dice", "dice_bce"] = "dice"
    weighted_bce: WeightedBce = "weighted"
    deep_supervision: DeepSupervision = "code"
    helper_organs: tuple[Literal["liver", "kidneys", "spleen", "stomach", "duodenum"], ...] = ()
    helper_weight: float = Field(default=0.3, ge=0)
    presence: bool = False
    presence_weight: float = Field(default=0.2, ge=0)
    boundary_form: BoundaryForm = "total_variation"
    boundary_neighbourhood: Neighbourhood = 4
    boundary_counts_frame: bool = True
    boundary_encoder_steps: int = Field(default=1000, ge=1, le=1_000_000)
    boundary_in_s: Literal["off", "detached"] = "off"
    alpha: float = Field(default=0.9, ge=0)
    beta: float = Field(default=0.4, ge=0)
    recurrence_rounds: int = Field(default=0, ge=0, le=100)

    @model_validator(mode="after")
    def _both_stages_find_the_same_where_that_is_needed(self) -> Self:
        if self.one_target:
            return self
        if self.crop_reference == "second_stage":
            raise ValueError("crop_reference: second_stage is for cascades whose stages both find the same")
        if self.recurrence_rounds > 0:
            raise ValueError("recurrence_rounds is for cascades whose stages both find the same")
        return self


class Qiu2024(Cascade):
    """The cascade of Qiu et al. 2024, Fig. 2."""

    dimensions = 2
    phases = ("first", "S", "I", "J")

    def __init__(self, settings: Qiu2024Settings) -> None:
        super().__init__()
        self.settings = settings
        self.helpers = tuple(HelperOrgan[name.upper()] for name in settings.helper_organs)
        more = {"out_channels": 1 + len(self.helpers)} if self.helpers else {}
        self.first = settings.first.build(**more, **({"presence": True} if settings.presence else {}))
        self.saliency = SaliencyTransformation() if settings.handover == "saliency" else None
        self.second = settings.second.build()
        self.labels = settings.found
        self.first_target = settings.organ
        classes = 1 + len(self.labels)
        self.boundary_encoder = (
            SharedBoundaryEncoder(classes).requires_grad_(False) if settings.boundary_form == "encoder" else None
        )

    # ── stages ──

    def first_maps(self, images: Tensor) -> FirstMaps:
        """All that stage 1's network tells of images (B, C, H, W), float32."""
        maps = run_scaled(self.first, images, self.settings.first_scale)
        last = 1 + len(self.helpers)
        return FirstMaps(maps[:, :1], maps[:, 1:last], maps[:, last:, 0, 0] if self.settings.presence else None)

    def first_logits(self, images: Tensor) -> Tensor:
        """Stage 1's logits of the organ (B, 1, H, W), float32, of images (B, C, H, W)."""
        return self.first_maps(images).organ

    def second_logits(
        self, images: Tensor, first: Tensor, boxes: Sequence[Box], *, saliency: bool
    ) -> tuple[Tensor, ...]:
        """Stage 2's logit maps, each (B, 1, *crop_size), of crop(I ⊙ S(P)), or of crop(I) without saliency."""
        weighted = images * self.saliency(first) if saliency and self.saliency is not None else images
        maps = self.second(crop_and_resize(weighted, boxes, self.settings.crop_size))
        return maps if isinstance(maps, tuple) else (maps,)

    # ── training ──

    def prepare(self, labels: Sequence[Tensor], *, seed: int) -> None:
        """Fit the learned boundary measure, where that form is chosen, to the true label maps (methods.md §A2)."""
        if self.boundary_encoder is None:
            return
        maps = torch.stack(list(labels))
        target = is_any(maps, self.settings.target)[:, 0].long()
        classes = target if self.settings.one_target else target + is_any(maps, self.settings.organ)[:, 0].long()
        device = next(self.boundary_encoder.parameters()).device
        self.boundary_encoder.requires_grad_(True)
        pretrain_boundary_encoder(
            self.boundary_encoder,
            classes.to(device),
            steps=self.settings.boundary_encoder_steps,
            learning_rate=1e-2,
            seed=seed,
            neighbourhood=self.settings.boundary_neighbourhood,
            count_frame=self.settings.boundary_counts_frame,
        )
        self.boundary_encoder.zero_grad()

    def losses(
        self, images: Tensor, labels: Tensor, *, phase: str, generator: Generator
    ) -> Iterator[dict[str, Tensor]]:
        """L = L_seg1 + α L_seg2 + β L_isb (Eq. 17), in step S, I or J (§3.3.2, methods.md §A3).

        The phase ``first``, ours, trains stage 1 alone: it stands for the pretrained networks that the paper's
        ancestors started from. A slice without target, in which stage 1 finds nothing either, teaches stage 1 only.
        """
        organ, target = is_any(labels, self.settings.organ), is_any(labels, self.settings.target)
        seen = self.first_maps(images)
        first = seen.probabilities
        found: dict[str, Tensor] = {"first": self._first_loss(seen.organ, torch.sigmoid(seen.organ), organ)}
        if self.helpers:
            found["helpers"] = self.settings.helper_weight * helper_loss(seen.helpers, labels, self.helpers)
        if seen.presence is not None:
            shown = organ.flatten(1).amax(dim=1, keepdim=True)
            presence = functional.binary_cross_entropy_with_logits(seen.presence, shown)
            found["presence"] = self.settings.presence_weight * presence
        if phase == "first":
            yield found
            return
        reference = self._crop_reference(images, first, organ, phase=phase)
        boxes = [box_around(mask, margin=random_margin(self.settings.margin, generator)) for mask in reference]
        kept = [index for index, box in enumerate(boxes) if box is not None]
        if kept:
            inside = [box for box in boxes if box is not None]
            maps = self.second_logits(images[kept], first[kept], inside, saliency=phase != "S")
            found["second"] = self.settings.alpha * self._second_loss(maps, target[kept], inside)
            if phase != "S" or self.settings.boundary_in_s == "detached":
                belief = first[kept].detach() if phase == "S" else first[kept]
                second = torch.sigmoid(resize_and_paste(maps[-1], inside, _size(images)))
                boundary = self._boundary_loss(belief, second, organ[kept], target[kept])
                found["boundary"] = self.settings.beta * boundary
        yield found

    def _crop_reference(self, images: Tensor, first: Tensor, organ: Tensor, *, phase: str) -> Tensor:
        """Masks (B, H, W) whose box is cut: the truth in S and I; the prediction, or the truth, in J."""
        truth = organ[:, 0] > 0
        if phase != "J":
            return truth
        predicted = first[:, 0] >= 0.5
        if self.settings.crop_reference == "second_stage":
            with torch.no_grad(), evaluating(self.second):
                predicted = self._second_probability(images, self._boxes_of(first))[:, 0] >= 0.5
        empty = ~predicted.flatten(1).any(dim=1)
        return torch.where(empty[:, None, None], truth, predicted)

    def _first_loss(self, logits: Tensor, first: Tensor, organ: Tensor) -> Tensor:
        loss = dice_loss(first, organ)
        return loss if self.settings.first_loss == "dice" else loss + bce_loss(logits, organ)

    def _second_loss(self, maps: tuple[Tensor, ...], target: Tensor, boxes: Sequence[Box]) -> Tensor:
        truth = crop_and_resize(target, boxes, self.settings.crop_size, mode="nearest-exact")
        if len(maps) == 1:
            return bce_iou_loss(maps[0], truth)
        return second_stage_loss(
            maps[0], maps[1:], truth, wbce=self.settings.weighted_bce, weights=self.settings.deep_supervision
        )

    def _boundary_loss(self, first: Tensor, second: Tensor, organ: Tensor, target: Tensor) -> Tensor:
        if self.settings.one_target:
            classes, truth = compose_two_classes(second), target[:, 0].long()
        else:
            classes, truth = (
                compose_classes(first, second),
                (torch.maximum(organ, target) + target)[:, 0].long(),
            )
        return shared_boundary_loss(
            classes,
            truth,
            form=self.settings.boundary_form,
            neighbourhood=self.settings.boundary_neighbourhood,
            count_frame=self.settings.boundary_counts_frame,
            encoder=self.boundary_encoder,
        )

    # ── inference ──

    def locate(self, images: Tensor) -> Located:
        """P of stage 1 and the box of Z = P ≥ 0.5 with margin K (methods.md §A4)."""
        return self._boxes_of(self.first_maps(images).probabilities)

    def _boxes_of(self, first: Tensor) -> Located:
        return hand_over(first, margin=self.settings.margin)

    def narrow(self, located: Located, probabilities: Tensor) -> Located:
        """The boxes follow the new probabilities; see `Cascade.narrow`."""
        return self._boxes_of(probabilities)

    def _second_probability(self, images: Tensor, located: Located) -> Tensor:
        """σ of stage 2's last map on the canvas, (B, 1, H, W); 0 where stage 1 found nothing."""
        second = torch.zeros_like(located.probabilities)
        kept = [index for index, boxes in enumerate(located.boxes) if boxes]
        if kept:
            boxes = [located.boxes[index][0] for index in kept]
            maps = self.second_logits(images[kept], located.probabilities[kept], boxes, saliency=True)
            second[kept] = torch.sigmoid(resize_and_paste(maps[-1], boxes, _size(images)))
        return second

    def segment(self, images: Tensor, located: Located) -> Tensor:
        """Classes composed of both stages' probabilities; see `Cascade.segment`."""
        second = self._second_probability(images, located)
        if not self.settings.one_target:
            return compose_classes(located.probabilities, second)
        for _ in range(self.settings.recurrence_rounds):
            before = second >= 0.5
            second = self._second_probability(images, self._boxes_of(second))
            if _dice(before, second >= 0.5) >= 0.99:
                break
        return compose_two_classes(second)


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[-2], images.shape[-1]


def _dice(one: Tensor, other: Tensor) -> float:
    total = int(one.sum() + other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0
