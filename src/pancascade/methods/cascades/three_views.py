"""Fixed-point and RSTN: axial, coronal and sagittal networks on three slices, their vote, in several rounds."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from pancascade.imaging.volume import Box
from pancascade.labels import Label
from pancascade.methods.cascades.protocol import Cascade, Located, is_any, mask_dice
from pancascade.methods.cascades.slice_windows import View, as_stack, as_volume, in_parts, slice_windows, window_mean
from pancascade.methods.cascades.tensor_crops import ABSENT_LOGIT, box_around, random_margin
from pancascade.methods.cascades.three_views_settings import ThreeViewsSettings
from pancascade.methods.cascades.vote import voted_probability
from pancascade.methods.losses import dice_loss
from pancascade.methods.networks import SaliencyTransformation

WINDOWS_AT_ONCE = 8
"""Windows of whole slices per batch of stage 1 at test time."""


@dataclass(frozen=True)
class LocatedMask(Located):
    """Hand-over of stage 1, or of a round of stage 2, to the next round.

    Attributes:
        mask: Z, (B, 1, I, J, K) boolean, which defines the crops; ``boxes`` are its 3-D boxes with border.
    """

    mask: Tensor


class ThreeViews(Cascade):
    """The cascades of Zhou et al. 2017 (Fixed-point) and Yu et al. 2018 (RSTN).

    Volumes are (B, 1, I, J, K) with axes to left, posterior and superior. Cropping and borders use the scan's own
    voxels, as in the authors' code.

    Source: Zhou et al. 2017, Algorithm 1; Yu et al. 2018, §3 and Algorithm 1; variants in docs/comparison-methods.md.
    """

    dimensions = 3
    network_dimensions = 2
    phases = ("first", "second", "S", "I", "J")
    draws_by_content = True

    def __init__(self, settings: ThreeViewsSettings) -> None:
        super().__init__()
        self.settings = settings
        more = {"in_channels": settings.slices, "out_channels": settings.slices}
        self.first = nn.ModuleDict({view: settings.first.build(**more) for view in settings.views})
        self.second = nn.ModuleDict({view: settings.second.build(**more) for view in settings.views})
        self.saliency = None
        if settings.handover == "saliency":
            self.saliency = nn.ModuleDict({view: SaliencyTransformation(settings.slices) for view in settings.views})
        both = (Label.PANCREAS, Label.TUMOUR)
        self.first_target = both if settings.target == "pancreas" else (Label.TUMOUR,)
        self.labels = (Label.PANCREAS,) if settings.target == "pancreas" else both

    # ── stages ──

    def first_probabilities(self, windows: Tensor, view: View) -> Tensor:
        """Return stage 1's P of each slice of windows (n, slices, H, W)."""
        return torch.sigmoid(_answer(self.first[view], windows, pad=not self.settings.first.takes_any_size))

    def second_probabilities(self, window: Tensor, first: Tensor | None, box: Box, view: View) -> Tensor:
        """Return stage 2's probabilities, 0 outside the box, of a window (1, slices, H, W).

        Args:
            window: The slices.
            first: P of the slices; None leaves stage 2's input unweighted.
            box: Region of stage 2.
            view: Plane of the window.
        """
        if first is not None and self.saliency is not None:
            window = window * self.saliency[view](first)
        (top, left), (bottom, right) = box.start, box.stop
        crop = window[..., top:bottom, left:right]
        logits = _answer(self.second[view], crop, pad=not self.settings.second.takes_any_size)
        around = (left, window.shape[-1] - right, top, window.shape[-2] - bottom)
        return torch.sigmoid(functional.pad(logits, around, value=ABSENT_LOGIT))

    # ── training ──

    def losses(
        self, images: Tensor, labels: Tensor, *, phase: str, generator: Generator
    ) -> Iterator[dict[str, Tensor]]:
        """Yield Dice losses of windows with target, one view after another, one optimiser step per few windows.

        ``first`` and ``second`` train one stage only. S trains both separately. I joins them by the saliency, in the
        reference boxes. J uses the boxes that stage 1 predicts, or the reference boxes if it finds nothing.
        """
        target = is_any(labels, self.first_target)[:, 0]
        for image, truth in zip(images[:, 0], target, strict=True):
            for view in self.settings.views:
                stacks = [as_stack(one, view) for one in (image, truth)]
                shown = torch.nonzero(stacks[1].flatten(1).any(dim=1))[:, 0]
                order = torch.randperm(len(shown), generator=generator)[: self.settings.slices_per_volume]
                for chosen in in_parts(shown[order.to(shown.device)], self.settings.windows_per_step):
                    seen, true = (slice_windows(stack, self.settings.slices, at=chosen) for stack in stacks)
                    yield self._loss_terms(seen, true, view, phase=phase, generator=generator)

    def _loss_terms(
        self, windows: Tensor, truth: Tensor, view: View, *, phase: str, generator: Generator
    ) -> dict[str, Tensor]:
        alone = phase in ("first", "second")
        found: dict[str, Tensor] = {}
        first = self.first_probabilities(windows, view) if phase != "second" else None
        if first is not None:
            weight = 1.0 if alone else self.settings.first_weight
            found[f"first_{view}"] = weight * dice_loss(first[:, None], truth[:, None])
        if phase != "first":
            boxes = [
                self._training_box(truth[n], first[n] if first is not None and phase == "J" else None, generator)
                for n in range(len(windows))
            ]
            handed = first if phase in ("I", "J") else None
            second = torch.cat(
                [
                    self.second_probabilities(
                        windows[n : n + 1], None if handed is None else handed[n : n + 1], boxes[n], view
                    )
                    for n in range(len(windows))
                ]
            )
            weight = 1.0 if alone else self.settings.second_weight
            found[f"second_{view}"] = weight * dice_loss(second[:, None], truth[:, None])
        return found

    def _training_box(self, truth: Tensor, first: Tensor | None, generator: Generator) -> Box:
        """Return the box of a window's prediction (slices, H, W), or of its reference, with a border."""
        random = self.settings.margins == "random"
        margin = random_margin(self.settings.margin, generator) if random else self.settings.margin
        predicted = None if first is None else box_around((first >= 0.5).any(dim=0), margin=margin)
        box = predicted or box_around((truth > 0).any(dim=0), margin=margin)
        if box is None:
            raise ValueError("a window without target has no true box")
        return box

    # ── inference ──

    def locate(self, images: Tensor) -> LocatedMask:
        """Return P of stage 1, voted over the views, and Z = P ≥ 0.5."""
        found = []
        for image in images[:, 0]:
            views = []
            for view in self.settings.views:
                stack = as_stack(image, view)
                parts = in_parts(torch.arange(len(stack)), WINDOWS_AT_ONCE)
                windows = (slice_windows(stack, self.settings.slices, at=part) for part in parts)
                maps = [self.first_probabilities(some, view) for some in windows]
                views.append(as_volume(window_mean(torch.cat(maps)), view))
            found.append(voted_probability(views, rule=self.settings.vote))
        return self._hand_over(torch.stack(found)[:, None])

    def _hand_over(self, probabilities: Tensor) -> LocatedMask:
        mask = probabilities >= 0.5
        return LocatedMask(probabilities, tuple(self._boxes(one) for one in mask[:, 0]), mask)

    def _boxes(self, mask: Tensor) -> tuple[Box, ...]:
        box = Box.around(mask.cpu().numpy())
        return () if box is None else (box.expand(self.settings.margin).clip(tuple(mask.shape)),)

    def update_rois(self, located: Located, probabilities: Tensor) -> LocatedMask:
        """Return P and Z of the new probabilities; see `Cascade.update_rois`."""
        return self._hand_over(probabilities)

    def replace_rois(self, located: Located, other: Located) -> LocatedMask:
        """Return its own P with the other's Z; see `Cascade.replace_rois`."""
        mask = _of_mask(other).mask
        return replace(_of_mask(located), boxes=other.boxes, mask=mask)

    def segment(self, images: Tensor, located: Located) -> Tensor:
        """Run rounds of stage 2 until two masks agree; see `Cascade.segment`."""
        handed = _of_mask(located)
        found = torch.zeros_like(handed.probabilities)
        for index, image in enumerate(images[:, 0]):
            found[index, 0] = self._rounds(image, handed.probabilities[index, 0], handed.mask[index, 0])
        without = [torch.zeros_like(found)] * (len(self.labels) - 1)  # for target tumour, the empty map of the pancreas
        return torch.cat([1 - found, *without, found], dim=1)

    def _rounds(self, image: Tensor, probabilities: Tensor, mask: Tensor) -> Tensor:
        found = torch.zeros_like(probabilities)
        for _ in range(self.settings.rounds):
            views = [self._one_round(image, probabilities, mask, view) for view in self.settings.views]
            found = voted_probability(views, rule=self.settings.vote)
            before, mask, probabilities = mask, found >= 0.5, found
            if mask_dice(before, mask) >= self.settings.agreement or not bool(mask.any()):
                break
        return found

    def _one_round(self, image: Tensor, probabilities: Tensor, mask: Tensor, view: View) -> Tensor:
        """Return stage 2's probabilities of a volume (I, J, K), 0 in windows where Z is empty."""
        stacks = [as_stack(one, view) for one in (image, probabilities, mask)]
        number, height, width = stacks[0].shape
        maps = torch.zeros((number, self.settings.slices, height, width), device=image.device)
        for n in range(number):
            at = torch.tensor([n])
            window, first, inside = (slice_windows(stack, self.settings.slices, at=at) for stack in stacks)
            box = box_around(inside[0].any(dim=0), margin=self.settings.margin)
            if box is not None:
                maps[n] = self.second_probabilities(window, first, box, view)[0]
        return as_volume(window_mean(maps), view)


def _answer(network: nn.Module, images: Tensor, *, pad: bool) -> Tensor:
    """Return float32 logits of images of any size.

    With ``pad``, zeros at the far ends extend the sides to multiples of 16, and to at least 32: normalisations cannot
    train on the single position that 16 pixels leave.
    """
    height, width = images.shape[-2:]
    if pad:
        right, below = (max(32, -(-side // 16) * 16) - side for side in (width, height))
        images = functional.pad(images, (0, right, 0, below))
    return network(images)[..., :height, :width].float()


def _of_mask(located: Located) -> LocatedMask:
    if not isinstance(located, LocatedMask):
        raise TypeError(f"expected the hand-over of a mask, got {type(located).__name__}; see ThreeViews.locate")
    return located
