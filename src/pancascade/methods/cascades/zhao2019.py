"""Zhao et al. 2019: 3-D U-Net on the reduced volume → the same at full resolution in two boxes → vote of all three."""

from collections.abc import Iterator, Sequence
from functools import reduce

import torch
from torch import Generator, Tensor

from pancascade.imaging.postprocessing import main_components
from pancascade.imaging.volume import Box
from pancascade.labels import Label
from pancascade.methods.cascades.protocol import Cascade, Located, is_any
from pancascade.methods.cascades.reduction import (
    LocatedVolume,
    cut,
    enlarge,
    reduce_masks,
    reduce_volumes,
    scaled,
)
from pancascade.methods.cascades.tensor_crops import box_around
from pancascade.methods.cascades.vote import voted_probability
from pancascade.methods.cascades.zhao2019_settings import Zhao2019Settings
from pancascade.methods.losses.centre import (
    centre_loss,
    centre_weight,
    soft_dice_loss,
)
from pancascade.metrics import Region


class Zhao2019(Cascade):
    """The two-stage cascade of Zhao et al. 2019, Fig. 2.

    Volumes are (B, 1, I, J, K) with axial slices along K, of any size.

    Source: Zhao et al. 2019, §2; variants in methods.md §D.
    """

    dimensions = 3
    phases = ("first", "second")

    def __init__(self, settings: Zhao2019Settings) -> None:
        super().__init__()
        self.settings = settings
        self.first = settings.first.build()
        self.second = settings.second.build()
        both = (Label.PANCREAS, Label.TUMOUR)
        self.first_target = both if settings.target == "pancreas" else (Label.TUMOUR,)
        self.labels = (Label.PANCREAS,) if settings.target == "pancreas" else both
        self.centre_weight = settings.centre_weight

    # ── stages ──

    def first_probabilities(self, images: Tensor) -> Tensor:
        """Return stage 1's probabilities (B, 1, ⌈I/R⌉, ⌈J/R⌉, ⌈K/R⌉), float32, of volumes (B, 1, I, J, K)."""
        small = reduce_volumes(images, self.settings.factor, mode=self.settings.reduction)
        return torch.sigmoid(self.first(small).float())

    def second_probabilities(self, images: Tensor, box: Box) -> Tensor:
        """Return stage 2's probabilities (B, 1, *box.shape), float32, in a box of volumes (B, 1, I, J, K)."""
        return torch.sigmoid(self.second(cut(images, box)).float())

    # ── training ──

    def begin_epoch(self, epoch: int, *, epochs: int, phase: str) -> None:
        """Set λ. Each phase counts its own epochs, as in the paper's two trainings."""
        self.centre_weight = centre_weight(
            epoch,
            epochs,
            initial=self.settings.centre_weight,
            schedule=self.settings.centre_schedule,
            held=self.settings.centre_epochs,
        )

    def losses(
        self, images: Tensor, labels: Tensor, *, phase: str, generator: Generator
    ) -> Iterator[dict[str, Tensor]]:
        """Yield L = L_dice + λ L_c of stage 1 on the reduced volumes, or of stage 2 in the reference boxes (§2.3).

        A volume without target trains nothing: it has no reference box, and Dice without smoothing has no gradient.
        A batch without target (for stage 1: after the reduction) yields nothing.
        """
        pairs = self._first_pairs(images, labels) if phase == "first" else self._second_pairs(images, labels)
        if not pairs:
            return
        found = {f"{phase}_dice": torch.stack([soft_dice_loss(*pair) for pair in pairs]).mean()}
        if self.centre_weight > 0:
            normaliser = self.settings.centre_normaliser
            centre = torch.stack([centre_loss(*pair, normaliser=normaliser) for pair in pairs]).mean()
            found[f"{phase}_centre"] = self.centre_weight * centre
        yield found

    def _first_pairs(self, images: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return probabilities and reference on the reduced grid, of volumes that still have target there."""
        truth = self.first_reference(labels)
        kept = [index for index, mask in enumerate(truth) if bool(mask.any())]
        return [(self.first_probabilities(images[kept]), truth[kept])] if kept else []

    def _second_pairs(self, images: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return probabilities and reference in the reference box with margin, of each volume with target."""
        pairs = []
        for index in range(len(images)):
            truth = is_any(labels[index : index + 1], self.first_target)
            box = box_around(truth[0, 0] > 0, margin=self.settings.margin)
            if box is not None:
                pairs.append((self.second_probabilities(images[index : index + 1], box), cut(truth, box)))
        return pairs

    # ── inference ──

    def locate(self, images: Tensor) -> LocatedVolume:
        """Return P of stage 1 on the reduced volume, and B₁ and B₂ around P ≥ 0.5 (§2.2.2)."""
        return self._hand_over(self.first_probabilities(images), tuple(images.shape[2:]))

    def update_rois(self, located: Located, probabilities: Tensor) -> LocatedVolume:
        """Return the boxes of new probabilities on the reduced grid, (B, 1, ⌈I/R⌉, ⌈J/R⌉, ⌈K/R⌉).

        See `Cascade.update_rois`.

        The new hand-over is for whole volumes; apply `LocatedVolume.within` afterwards.
        """
        return self._hand_over(probabilities, _of_volumes(located).shape)

    def from_mask(self, images: Tensor, probabilities: Tensor) -> LocatedVolume:
        """Reduce full-resolution probabilities as the images and locate boxes in them; see `Cascade.from_mask`."""
        small = reduce_volumes(probabilities, self.settings.factor, mode=self.settings.reduction)
        return self._hand_over(small, tuple(images.shape[2:]))

    def crop_to_rois(self, images: Tensor, located: Located) -> tuple[Box | None, Tensor, Located]:
        """Crop to the smallest part that contains all boxes; see `Cascade.crop_to_rois`."""
        found = _of_volumes(located)
        part = found.extent()
        return (None, images, found) if part is None else (part, cut(images, part), found.within(part))

    def _hand_over(self, probabilities: Tensor, shape: tuple[int, ...]) -> LocatedVolume:
        if self.settings.component == "largest":
            probabilities = torch.stack([_largest_component(one) for one in probabilities])
        boxes = tuple(self._boxes(one[0], shape) for one in probabilities)
        return LocatedVolume(probabilities, boxes, shape, Box.whole(shape))

    def _boxes(self, probabilities: Tensor, shape: tuple[int, ...]) -> tuple[Box, ...]:
        """Return B₁ and B₂ in voxels of the volume, of probabilities on the reduced grid; none if all are below ½.

        If no voxel of the enlarged map reaches ½, as around a single voxel, B₂ is taken from the reduced grid.
        """
        found = Box.around((probabilities >= 0.5).cpu().numpy())
        if found is None:
            return ()
        factor = self.settings.factor
        b1 = scaled(found.expand(self.settings.coarse_margin), factor)
        near = scaled(found.expand(1), factor).clip(shape)
        inside = Box.around((self._enlarged(probabilities, near) >= 0.5).cpu().numpy())
        enlarged = scaled(found, factor) if inside is None else inside.shift(near.start)
        return b1.clip(shape), enlarged.expand(self.settings.margin).clip(shape)

    def _enlarged(self, probabilities: Tensor, region: Box) -> Tensor:
        return enlarge(probabilities.float(), self.settings.factor, region=region, mode=self.settings.enlarging)

    def first_map(self, located: Located, shape: Sequence[int]) -> Tensor:
        """Return stage 1's map enlarged as for the vote, (B, 1, *shape); see `Cascade.first_map`."""
        whole = Box.whole(tuple(shape))
        return torch.stack([self._enlarged(one[0], whole)[None] for one in located.probabilities])

    def first_reference(self, labels: Tensor) -> Tensor:
        """Return stage 1's reference on the reduced grid; see `Cascade.first_reference`."""
        whole = is_any(labels, self.first_target)
        return reduce_masks(whole, self.settings.factor, mode=self.settings.label_reduction)

    def first_boxes(self, located: Located, shape: Sequence[int]) -> tuple[dict[str, Box | Region | None], ...]:
        """Return ``B1`` and ``B2`` with the paper's own margins; see `Cascade.first_boxes`."""
        names = ("B1", "B2")
        pairs = (boxes or (None, None) for boxes in _of_volumes(located).boxes)
        return tuple(dict(zip(names, pair, strict=True)) for pair in pairs)

    def segment(self, images: Tensor, located: Located) -> Tensor:
        """Return the vote of stage 1 and of stage 2 in each box; see `Cascade.segment`.

        The target's probability is ≥ ½ exactly at voxels that win the vote. It is 0 outside the boxes, where stage 1
        alone cannot win. The background's probability is the rest.

        Args:
            images: Located volumes (B, 1, *S), or their part `located.field`.
            located: Result of `locate`, `update_rois` or `LocatedVolume.within`.

        Raises:
            TypeError: The hand-over is not a `LocatedVolume`.
            ValueError: The size of the images differs from `located.field`.
        """
        found = _of_volumes(located)
        if tuple(images.shape[2:]) != found.field.shape:
            raise ValueError(f"images {tuple(images.shape)} must show the field {found.field} of what was located")
        maps = torch.zeros((len(images), 1 + len(self.labels), *images.shape[2:]), device=images.device)
        maps[:, 0] = 1
        for index, boxes in enumerate(found.boxes):
            if boxes:
                region = reduce(Box.union, boxes)
                coarse = found.probabilities[index, 0].to(images.device).float()
                first = self._enlarged(coarse, region.shift(found.field.start))
                voted = self._vote(images[index : index + 1], first, boxes, region)
                maps[index, -1][region.slices] = voted
                maps[index, 0][region.slices] = 1 - voted
        return maps

    def _vote(self, image: Tensor, first: Tensor, boxes: Sequence[Box], region: Box) -> Tensor:
        """Return the vote (*region.shape) of stage 1's map there and of stage 2 in each box of an image (1, 1, *S)."""
        maps = [first]
        for box in boxes:
            second = torch.zeros_like(first)
            inside = box.shift([-start for start in region.start])
            second[inside.slices] = self.second_probabilities(image, box)[0, 0]
            maps.append(second)
        return voted_probability(maps, rule=self.settings.vote)


def _largest_component(probabilities: Tensor) -> Tensor:
    kept = main_components(probabilities[0].float().cpu().numpy(), share=1.0)
    return probabilities * torch.from_numpy(kept).to(probabilities.device)


def _of_volumes(located: Located) -> LocatedVolume:
    if not isinstance(located, LocatedVolume):
        raise TypeError(f"expected the hand-over of a volume, got {type(located).__name__}; see Zhao2019.locate")
    return located
