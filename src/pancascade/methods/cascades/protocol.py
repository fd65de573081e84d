"""Interface of a cascade for training and inference: locate, hand over, segment."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from pancascade.imaging.volume import Box
from pancascade.labels import Label
from pancascade.metrics import Region


@dataclass(frozen=True)
class Located:
    """Hand-over: output of stage 1 for each image.

    Attributes:
        probabilities: Stage 1's probability map in [0, 1], (B, 1, *S), or on a coarser grid of its own.
        boxes: Regions of each image for stage 2; none if stage 1 found nothing.
    """

    probabilities: Tensor
    boxes: tuple[tuple[Box, ...], ...]


class Cascade(nn.Module, ABC):
    """Stage 1, the hand-over, stage 2. Each paper is one subclass.

    Attributes:
        dimensions: Spatial dimensions *S of its images: 2 (axial slices) or 3 (volumes).
        network_dimensions: Spatial dimensions of its networks' inputs; those of its images, unless the cascade itself
            cuts volumes into slices.
        phases: Names of its training phases, in the paper's order.
        labels: Segmented labels besides background, in the channel order of `segment`.
        first_target: Labels whose union is the target of stage 1.
        locates: Whether there is a stage 1 that can run alone (a single network has none).
        first_map_is_mask: Whether stage 1's probability map covers the organ; False for a heatmap of keypoints.
        objectives: Largest number of dictionaries that `losses` yields, each with its own optimiser step.
        draws_by_content: Whether the number of random draws of `losses` depends on the images' content.
        any_size: Names of its networks whose input size differs from image to image.
        export_chain: How to run its exported networks one after another, one sentence per step; empty if they cannot be
            exported.
    """

    dimensions: ClassVar[int]
    network_dimensions: ClassVar[int]
    phases: ClassVar[tuple[str, ...]]
    labels: tuple[Label, ...]
    first_target: tuple[Label, ...] = (Label.PANCREAS, Label.TUMOUR)
    locates: ClassVar[bool] = True
    first_map_is_mask: ClassVar[bool] = True
    objectives: ClassVar[int] = 1
    draws_by_content: ClassVar[bool] = False
    any_size: tuple[str, ...] = ()
    export_chain: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        """Set `network_dimensions` to `dimensions` if the subclass defines only the latter."""
        if "dimensions" in vars(cls) and "network_dimensions" not in vars(cls):
            cls.network_dimensions = cls.dimensions

    def prepare(self, labels: Sequence[Tensor], *, seed: int) -> None:
        """Fit what depends on the label maps alone, before the first phase; by default nothing.

        Args:
            labels: All training label maps, (*S) uint8 each, ids of `Label`.
            seed: Seed of the randomness.
        """

    def require_start(self, phases: Sequence[str], *, from_weights: bool) -> None:
        """Check that a run can begin with these phases; by default any are accepted.

        Args:
            phases: Phases of the run, in order.
            from_weights: Whether the run starts from weights of the whole cascade.

        Raises:
            RecipeError: The first phase needs something that is untrained.
        """

    def begin_phase(self, phase: str, *, earlier: Sequence[str]) -> None:
        """Run once before the first batch of a phase; by default does nothing.

        It runs at the same position in a resumed run. It is called for the trained weights and for their
        running average.

        Args:
            phase: One of `phases`.
            earlier: Phases that this run has already trained, in order.
        """

    def begin_epoch(self, epoch: int, *, epochs: int, phase: str) -> None:
        """Set what depends on the epoch alone, before its first batch; by default nothing.

        Args:
            epoch: Number of the epoch within its phase, from 0.
            epochs: Number of epochs of the phase.
            phase: One of `phases`.
        """

    @abstractmethod
    def losses(
        self, images: Tensor, labels: Tensor, *, phase: str, generator: Generator
    ) -> Iterator[dict[str, Tensor]]:
        """Yield the objectives of one iteration, one dictionary per optimiser step.

        The trainer sums the weighted terms of a dictionary and takes one optimiser step before it requests the
        next dictionary. A method that alternates between its networks yields several.

        Args:
            images: (B, C, *S) in [0, 1].
            labels: (B, *S) integer, ids of `Label`.
            phase: One of `phases`.
            generator: The only source of randomness.

        Yields:
            Named scalar losses, already weighted.
        """

    def pass_over(self, count: int, *, phase: str, objective: int, generator: Generator) -> None:
        """Discard the random draws of `losses` for images of another process; by default nothing is drawn.

        Args:
            count: Number of images.
            phase: One of `phases`.
            objective: Index of the dictionary of `losses` that the draws belong to, from 0.
            generator: The same generator as in `losses`.
        """

    @abstractmethod
    def locate(self, images: Tensor) -> Located:
        """Run stage 1 on images (B, C, *S)."""

    @abstractmethod
    def update_rois(self, located: Located, probabilities: Tensor) -> Located:
        """Return the hand-over with changed probabilities of stage 1.

        Inference uses it for volumes that a 2-D cascade processes slice by slice: it smooths the probabilities along
        the z axis before stage 2.

        Args:
            located: Result of `locate`.
            probabilities: (B, 1, *S), replaces stage 1's own.

        Returns:
            The new hand-over; images without probability ≥ ½ have no box.
        """

    def from_mask(self, images: Tensor, probabilities: Tensor) -> Located:
        """Return the hand-over for other probabilities of the organ: another cascade's, or the reference.

        Args:
            images: (B, C, *S).
            probabilities: (B, 1, *S) in [0, 1], on the images' grid.
        """
        return self.update_rois(Located(probabilities, ((),) * len(images)), probabilities)

    def replace_rois(self, located: Located, other: Located) -> Located:
        """Return the hand-over with the boxes of another one for the same images."""
        return replace(located, boxes=other.boxes)

    def crop_to_rois(self, images: Tensor, located: Located) -> tuple[Box | None, Tensor, Located]:
        """Return the part of the images that `segment` needs; outside it all is background.

        Args:
            images: (B, C, *S).
            located: What stage 1 handed over.

        Returns:
            The part, None if nothing was located; the images and the hand-over, both cut to it.
        """
        return Box.whole(tuple(images.shape[2:])), images, located

    def first_map(self, located: Located, shape: Sequence[int]) -> Tensor:
        """Return stage 1's probabilities on the images' grid, (B, 1, *shape), from any coarser grid.

        Args:
            located: What `locate` gave for images (B, C, *shape).
            shape: Shape *S of the images.
        """
        maps = located.probabilities
        for axis, size in enumerate(shape, start=2):
            factor = -(-size // maps.shape[axis])
            maps = maps.repeat_interleave(factor, dim=axis).narrow(axis, 0, size)
        return maps

    def first_reference(self, labels: Tensor) -> Tensor:
        """Return stage 1's reference in label maps (B, *S): a binary float mask (B, 1, *s) on stage 1's own grid."""
        return is_any(labels, self.first_target)

    def first_boxes(self, located: Located, shape: Sequence[int]) -> tuple[dict[str, Box | Region | None], ...]:
        """Return stage 1's boxes of the target in each image, for comparison with the reference box.

        They exclude a margin that only adds context for stage 2.

        Args:
            located: What `locate` gave for images (B, C, *shape).
            shape: Shape *S of the images.

        Returns:
            Boxes of each image by their name in the paper, here ``box`` around P ≥ ½; None if there is none.
        """
        masks = (self.first_map(located, shape)[:, 0] >= 0.5).cpu().numpy()
        return tuple({"box": Box.around(mask)} for mask in masks)

    @abstractmethod
    def segment(self, images: Tensor, located: Located) -> Tensor:
        """Run stage 2 in the located regions and place its result back.

        Args:
            images: (B, C, *S), the images given to `locate`.
            located: What stage 1 handed over.

        Returns:
            Probabilities (B, 1 + len(labels), *S), float32, background first, summing to 1.
        """

    def forward(self, images: Tensor) -> Tensor:
        """Locate, then segment: return probabilities (B, 1 + len(labels), *S) of images (B, C, *S)."""
        return self.segment(images, self.locate(images))


def is_any(labels: Tensor, wanted: tuple[Label, ...]) -> Tensor:
    """Return a binary float mask (B, 1, *S) of the pixels of label maps (B, *S) that have one of the labels."""
    mask = torch.zeros_like(labels, dtype=torch.bool)
    for label in wanted:
        mask |= labels == label
    return mask[:, None].float()


def mask_dice(one: Tensor, other: Tensor) -> float:
    """Return the Dice of two boolean masks; 1 if both are empty."""
    total = int(one.sum() + other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0
