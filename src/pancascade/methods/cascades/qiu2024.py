"""Qiu et al. 2024: multi-scale U-Net → saliency transformation → focusing network, trained jointly."""

from collections.abc import Iterator, Sequence

import torch
from torch import Generator, Tensor
from torch.nn import functional

from pancascade.errors import RecipeError
from pancascade.imaging.volume import Box
from pancascade.labels import HelperOrgan
from pancascade.methods.cascades.class_probabilities import compose_classes, compose_two_classes
from pancascade.methods.cascades.helper_organs import FirstMaps, helper_loss
from pancascade.methods.cascades.network_passes import evaluating, run_scaled
from pancascade.methods.cascades.protocol import Cascade, Located, is_any, mask_dice
from pancascade.methods.cascades.qiu2024_losses import boundary_loss, first_loss, fit_boundary_encoder, second_loss
from pancascade.methods.cascades.qiu2024_settings import Qiu2024Settings
from pancascade.methods.cascades.tensor_crops import (
    ABSENT_LOGIT,
    CROPPED,
    IMPOSSIBLE_LOGIT,
    box_around,
    crop_and_fill,
    crop_and_resize,
    cut_back,
    hand_over,
    paste,
    random_margin,
    resize_and_paste,
)
from pancascade.methods.cascades.weight_transfer import require_transferable, transfer_weights
from pancascade.methods.losses import (
    SharedBoundaryEncoder,
)
from pancascade.methods.networks import SaliencyTransformation
from pancascade.methods.targets import COMPOSED


class Qiu2024(Cascade):
    """The cascade of Qiu et al. 2024, Fig. 2."""

    dimensions = 2
    phases = ("first", "S", "I", "J")
    export_chain = (
        "first: the canvas, scaled by first_scale to the input's size (bilinear, antialiased); resize its logits back "
        "to the canvas (bilinear); P = sigmoid of the first map, with presence: true times sigmoid of the last one; "
        "maps between are helper_organs, and are not used.",
        "smooth_along_z: smooth P along the body (Gaussian, 2 mm), keep the main connected components.",
        "saliency: weights = saliency(P); multiply the canvas by them (only with handover: saliency).",
        CROPPED,
        COMPOSED,
    )

    def __init__(self, settings: Qiu2024Settings) -> None:
        super().__init__()
        self.settings = settings
        self.helpers = tuple(HelperOrgan[name.upper()] for name in settings.helper_organs)
        more = {"out_channels": 1 + len(self.helpers)} if self.helpers else {}
        self.first = settings.first.build(**more, **({"presence": True} if settings.presence else {}))
        self.saliency = SaliencyTransformation() if settings.handover == "saliency" else None
        self.second = settings.second.build()
        if settings.second_start == "first_stage":
            require_transferable(self.first, self.second)
        self.any_size = ("second",) if settings.crop_input == "unresized" else ()
        self.labels = settings.found
        self.first_target = settings.organ
        classes = 1 + len(self.labels)
        self.boundary_encoder = (
            SharedBoundaryEncoder(classes).requires_grad_(False) if settings.boundary_form == "encoder" else None
        )

    # ── stages ──

    def first_maps(self, images: Tensor) -> FirstMaps:
        """Return all outputs of stage 1's network, float32, for images (B, C, H, W)."""
        maps = run_scaled(self.first, images, self.settings.first_scale)
        last = 1 + len(self.helpers)
        return FirstMaps(maps[:, :1], maps[:, 1:last], maps[:, last:, 0, 0] if self.settings.presence else None)

    def first_logits(self, images: Tensor) -> Tensor:
        """Return stage 1's logits of the organ (B, 1, H, W), float32, of images (B, C, H, W)."""
        return self.first_maps(images).organ

    def second_logits(
        self, images: Tensor, first: Tensor, boxes: Sequence[Box], *, saliency: bool
    ) -> tuple[Tensor, ...]:
        """Return stage 2's logit maps of crop(I ⊙ S(P)), or of crop(I) without saliency, at the size of its input.

        The size is (B, 1, *crop_size); unresized crops have the size of the largest box, filled up.
        """
        weighted = images * self.saliency(first) if saliency and self.saliency is not None else images
        if self.settings.crop_input == "unresized":
            crops = crop_and_fill(weighted, boxes)
        else:
            crops = crop_and_resize(weighted, boxes, self.settings.crop_size)
        maps = self.second(crops)
        return maps if isinstance(maps, tuple) else (maps,)

    def _pasted(
        self, logits: Tensor, boxes: Sequence[Box], canvas: tuple[int, int], *, outside: float = ABSENT_LOGIT
    ) -> Tensor:
        """Return stage 2's logits pasted into their boxes on the canvas, (B, 1, *canvas)."""
        if self.settings.crop_input == "unresized":
            return paste(cut_back(logits, boxes), boxes, canvas, outside=outside)
        return resize_and_paste(logits, boxes, canvas, outside=outside)

    # ── training ──

    def require_start(self, phases: Sequence[str], *, from_weights: bool) -> None:
        """Check that stage 1 is trained before stage 2 takes its weights, if chosen; see `Cascade.require_start`."""
        if self.settings.second_start == "first_stage" and not from_weights and phases[0] != "first":
            raise RecipeError(
                "second_start: first_stage hands a stage 1 that has learned nothing to stage 2. "
                "Begin with the phase first, or give weights with --start-from."
            )

    def begin_phase(self, phase: str, *, earlier: Sequence[str]) -> None:
        """Copy stage 1's weights to stage 2 before the first phase that trains stage 2, if chosen."""
        if self.settings.second_start == "first_stage" and phase != "first" and set(earlier) <= {"first"}:
            transfer_weights(self.first, self.second)

    def prepare(self, labels: Sequence[Tensor], *, seed: int) -> None:
        """Fit the learned boundary measure, if that form is chosen, to the reference label maps (methods.md §A2)."""
        if self.boundary_encoder is not None:
            fit_boundary_encoder(self.boundary_encoder, torch.stack(list(labels)), settings=self.settings, seed=seed)

    def losses(
        self, images: Tensor, labels: Tensor, *, phase: str, generator: Generator
    ) -> Iterator[dict[str, Tensor]]:
        """Yield L = L_seg1 + α L_seg2 + β L_isb (Eq. 17), in step S, I or J (§3.3.2, methods.md §A3).

        The phase ``first`` is ours. It trains stage 1 alone, in place of the pretrained networks that the paper's
        predecessors started from. A slice without target and without prediction of stage 1 trains stage 1 only.
        """
        organ, target = is_any(labels, self.settings.organ), is_any(labels, self.settings.target)
        seen = self.first_maps(images)
        first = seen.probabilities
        found: dict[str, Tensor] = {"first": first_loss(seen.organ, organ, settings=self.settings)}
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
        boxes = [box_around(mask, margin=self._margin(generator)) for mask in reference]
        kept = [index for index, box in enumerate(boxes) if box is not None]
        if kept:
            inside = [box for box in boxes if box is not None]
            maps = self.second_logits(images[kept], first[kept], inside, saliency=phase != "S")
            found["second"] = self.settings.alpha * self._second_loss(maps, target[kept], inside)
            if phase != "S" or self.settings.boundary_in_s == "detached":
                handed_over = first[kept].detach() if phase == "S" else first[kept]
                second = torch.sigmoid(self._pasted(maps[-1], inside, _size(images)))
                boundary = boundary_loss(
                    handed_over,
                    second,
                    organ[kept],
                    target[kept],
                    settings=self.settings,
                    encoder=self.boundary_encoder,
                )
                found["boundary"] = self.settings.beta * boundary
        yield found

    def pass_over(self, count: int, *, phase: str, objective: int, generator: Generator) -> None:
        """Draw a margin for each image; see `Cascade.pass_over`."""
        if phase != "first" and objective == 0:
            for _ in range(count):
                self._margin(generator)

    def _margin(self, generator: Generator) -> int | list[tuple[int, int]]:
        margin = self.settings.margin
        return random_margin(margin, generator) if self.settings.margins == "random" else margin

    def _crop_reference(self, images: Tensor, first: Tensor, organ: Tensor, *, phase: str) -> Tensor:
        """Return masks (B, H, W) whose box is cut: the reference in S and I; in J the prediction, if not empty."""
        truth = organ[:, 0] > 0
        if phase != "J":
            return truth
        predicted = first[:, 0] >= 0.5
        if self.settings.crop_reference == "second_stage":
            with torch.no_grad(), evaluating(self.second):
                predicted = self._second_probability(images, self._boxes_of(first))[:, 0] >= 0.5
        empty = ~predicted.flatten(1).any(dim=1)
        return torch.where(empty[:, None, None], truth, predicted)

    def _second_loss(self, maps: tuple[Tensor, ...], target: Tensor, boxes: Sequence[Box]) -> Tensor:
        """Return L_seg2 of stage 2's maps and target (B, 1, H, W), on the canvas or in the crop (methods.md §A2)."""
        if self.settings.second_loss == "canvas":
            pasted = [self._pasted(one, boxes, _size(target), outside=IMPOSSIBLE_LOGIT) for one in maps]
            return second_loss(pasted, target, settings=self.settings)
        if self.settings.crop_input == "resized":
            truth = crop_and_resize(target, boxes, self.settings.crop_size, mode="nearest-exact")
            return second_loss(maps, truth, settings=self.settings)
        own = [cut_back(one, boxes) for one in maps]
        truths = [mask[(None, slice(None), *box.slices)] for mask, box in zip(target, boxes, strict=True)]
        each = [second_loss(one, truth, settings=self.settings) for *one, truth in zip(*own, truths, strict=True)]
        return torch.stack(each).mean()

    # ── inference ──

    def locate(self, images: Tensor) -> Located:
        """Return P of stage 1 and the box of Z = P ≥ 0.5 with margin K (methods.md §A4)."""
        return self._boxes_of(self.first_maps(images).probabilities)

    def _boxes_of(self, first: Tensor) -> Located:
        return hand_over(first, margin=self.settings.margin)

    def update_rois(self, located: Located, probabilities: Tensor) -> Located:
        """Return the boxes of the new probabilities; see `Cascade.update_rois`."""
        return self._boxes_of(probabilities)

    def _second_probability(self, images: Tensor, located: Located) -> Tensor:
        """Return σ of stage 2's last map on the canvas, (B, 1, H, W); 0 for images without box."""
        second = torch.zeros_like(located.probabilities)
        kept = [index for index, boxes in enumerate(located.boxes) if boxes]
        # Unresized crops run one by one: an image's result then does not depend on how far it is filled up.
        together = [kept] if self.settings.crop_input == "resized" and kept else [[index] for index in kept]
        for part in together:
            boxes = [located.boxes[index][0] for index in part]
            maps = self.second_logits(images[part], located.probabilities[part], boxes, saliency=True)
            second[part] = torch.sigmoid(self._pasted(maps[-1], boxes, _size(images)))
        return second

    def segment(self, images: Tensor, located: Located) -> Tensor:
        """Return classes composed of both stages' probabilities; see `Cascade.segment`."""
        second = self._second_probability(images, located)
        if not self.settings.one_target:
            return compose_classes(located.probabilities, second)
        for _ in range(self.settings.recurrence_rounds):
            before = second >= 0.5
            second = self._second_probability(images, self._boxes_of(second))
            if mask_dice(before, second >= 0.5) >= 0.99:
                break
        return compose_two_classes(second)


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[-2], images.shape[-1]
