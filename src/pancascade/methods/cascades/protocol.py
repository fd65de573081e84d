"""What training and inference know of a cascade: locate, hand over, segment."""

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
    """The hand-over: what stage 1 found in each image.

    Attributes:
        probabilities: Stage 1's probability map in [0, 1], (B, 1, *S), or on a coarser grid of its own.
        boxes: Regions of each image that stage 2 works in; none where stage 1 found nothing.
    """

    probabilities: Tensor
    boxes: tuple[tuple[Box, ...], ...]


class Cascade(nn.Module, ABC):
    """Stage 1, the hand-over, stage 2. Each paper is one subclass.

    Attributes:
        dimensions: Spatial dimensions *S of its images: 2 (axial slices) or 3 (volumes).
        network_dimensions: Spatial dimensions of what its networks see; those of its images, but where a cascade cuts
            volumes into slices itself.
        phases: Names of its training phases, in the paper's order.
        labels: Segmented labels besides background, in the channel order of `segment`.
        first_target: Labels whose union is the target of stage 1.
        locates: Whether there is a stage 1 that can run alone (a single network has none).
        first_map_is_mask: Whether stage 1's probability map covers the organ; a heatmap of keypoints does not.
        objectives: How many dictionaries `losses` yields at most, each with an optimiser step of its own.
        draws_by_content: Whether how much `losses` draws at random depends on what the images show.
        any_size: Names of its networks that see images of a size of their own each.
        export_chain: How its networks follow one another, a sentence each, for programs that run them without us; empty
            where they cannot.
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
        """The networks see what the cascade sees, unless it says otherwise."""
        if "dimensions" in vars(cls) and "network_dimensions" not in vars(cls):
            cls.network_dimensions = cls.dimensions

    def prepare(self, labels: Sequence[Tensor], *, seed: int) -> None:
        """What must be learnt from the label maps alone before the first phase; nothing, for most methods.

        Args:
            labels: All training label maps, (*S) uint8 each, ids of `Label`.
            seed: Of any randomness.
        """

    def require_start(self, phases: Sequence[str], *, from_weights: bool) -> None:
        """Refuse phases that a run cannot begin with; none, for most methods.

        Args:
            phases: Of the run, in order.
            from_weights: Whether it starts from weights of the whole cascade.

        Raises:
            RecipeError: The first phase builds on something that was never learned.
        """

    def begin_phase(self, phase: str, *, earlier: Sequence[str]) -> None:
        """What happens once, before the first batch of a phase; nothing, for most methods.

        It comes at the same place of a run whether the run was interrupted or not, for the weights that learn and
        for their running average.

        Args:
            phase: One of `phases`.
            earlier: Those that this run has trained already, in order.
        """

    def begin_epoch(self, epoch: int, *, epochs: int, phase: str) -> None:
        """What changes with time alone, before an epoch's first batch; nothing, for most methods.

        Args:
            epoch: Number of the epoch within its phase, from 0.
            epochs: How many epochs the phase has.
            phase: One of `phases`.
        """

    @abstractmethod
    def losses(
        self, images: Tensor, labels: Tensor, *, phase: str, generator: Generator
    ) -> Iterator[dict[str, Tensor]]:
        """The objectives of one iteration, one dictionary an optimiser step.

        The trainer adds the weighted terms of a dictionary up, goes one step along the gradient and only then
        asks for the next: a method that alternates between its networks yields several times.

        Args:
            images: (B, C, *S) in [0, 1].
            labels: (B, *S) integer, ids of `Label`.
            phase: One of `phases`.
            generator: The only source of randomness.

        Yields:
            Named scalar losses, already weighted.
        """

    def pass_over(self, count: int, *, phase: str, objective: int, generator: Generator) -> None:
        """Draw, and drop, what `losses` draws for images that another process works on; nothing, for most methods.

        Args:
            count: Images.
            phase: One of `phases`.
            objective: Which dictionary of `losses` it is drawn for, from 0.
            generator: As `losses` has it.
        """

    @abstractmethod
    def locate(self, images: Tensor) -> Located:
        """Stage 1 on images (B, C, *S)."""

    @abstractmethod
    def update_rois(self, located: Located, probabilities: Tensor) -> Located:
        """The hand-over after a second thought about stage 1.

        A volume that a 2-D cascade walks through slice by slice knows more than each slice: its probabilities,
        smoothed along the z axis, come back here before stage 2.

        Args:
            located: What `locate` gave.
            probabilities: (B, 1, *S), in place of stage 1's own.

        Returns:
            The new hand-over; images without any probability left have no box.
        """

    def from_mask(self, images: Tensor, probabilities: Tensor) -> Located:
        """The hand-over that other probabilities of the organ would make: another cascade's, or the truth.

        Args:
            images: (B, C, *S).
            probabilities: (B, 1, *S) in [0, 1], on the images' grid.
        """
        return self.update_rois(Located(probabilities, ((),) * len(images)), probabilities)

    def replace_rois(self, located: Located, other: Located) -> Located:
        """Return the hand-over with the boxes of another one for the same images."""
        return replace(located, boxes=other.boxes)

    def crop_to_rois(self, images: Tensor, located: Located) -> tuple[Box | None, Tensor, Located]:
        """The part of the images that `segment` needs; outside of it all is background.

        Args:
            images: (B, C, *S).
            located: What stage 1 handed over.

        Returns:
            The part, None where nothing was located; the images and the hand-over cut to it.
        """
        return Box.whole(tuple(images.shape[2:])), images, located

    def first_map(self, located: Located, shape: Sequence[int]) -> Tensor:
        """Stage 1's probabilities on the images' grid, (B, 1, *shape), whatever grid of its own they have.

        Args:
            located: What `locate` gave for images (B, C, *shape).
            shape: Of the images.
        """
        maps = located.probabilities
        for axis, size in enumerate(shape, start=2):
            factor = -(-size // maps.shape[axis])
            maps = maps.repeat_interleave(factor, dim=axis).narrow(axis, 0, size)
        return maps

    def first_reference(self, labels: Tensor) -> Tensor:
        """What stage 1 shall find in label maps (B, *S): a binary mask (B, 1, *s), float, on a grid of its own."""
        return is_any(labels, self.first_target)

    def first_boxes(self, located: Located, shape: Sequence[int]) -> tuple[dict[str, Box | Region | None], ...]:
        """Where stage 1 says that the target lies in each image, to be compared with the target's own box.

        A margin that only gives stage 2 some surround is not in it.

        Args:
            located: What `locate` gave for images (B, C, *shape).
            shape: Of the images.

        Returns:
            Boxes of each image by their name in the paper, here ``box`` around P ≥ ½; None for nothing found.
        """
        masks = (self.first_map(located, shape)[:, 0] >= 0.5).cpu().numpy()
        return tuple({"box": Box.around(mask)} for mask in masks)

    @abstractmethod
    def segment(self, images: Tensor, located: Located) -> Tensor:
        """Stage 2 in the located regions, put back in place.

        Args:
            images: (B, C, *S), those that were located.
            located: What stage 1 handed over.

        Returns:
            Probabilities (B, 1 + len(labels), *S), float32, background first, summing to 1.
        """

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities (B, 1 + len(labels), *S) of images (B, C, *S): locate, then segment."""
        return self.segment(images, self.locate(images))


def is_any(labels: Tensor, wanted: tuple[Label, ...]) -> Tensor:
    """Binary float mask (B, 1, *S) of the pixels of label maps (B, *S) that carry one of the labels."""
    mask = torch.zeros_like(labels, dtype=torch.bool)
    for label in wanted:
        mask |= labels == label
    return mask[:, None].float()


def mask_dice(one: Tensor, other: Tensor) -> float:
    """Dice of two boolean masks; 1 where both are empty."""
    total = int(one.sum() + other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0
