"""Axial slices of many cases, drawn on one canvas and dealt in batches."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from pancascade.datasets import Case
from pancascade.labels import Label
from pancascade.preprocessing import Canvas, draw, draw_labels, find_placement
from pancascade.sampling.augmentation import Augmentation, augment


@dataclass(frozen=True)
class Batch:
    """What a training step works on.

    Attributes:
        images: (B, 1, H, W) in [0, 1].
        labels: (B, H, W) uint8, ids of `pancascade.labels.Label`.
        names: Name of each slice.
    """

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]


@dataclass(frozen=True)
class SliceSet:
    """Slices in memory, on their canvas.

    Attributes:
        images: (N, 1, H, W) uint8, 0…255 over the window.
        labels: (N, H, W) uint8.
        names: Name of each slice.
        patients: Patient of each slice.
    """

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]
    patients: tuple[str, ...]

    def __len__(self) -> int:
        """Number of slices."""
        return len(self.names)

    def batch(self, indices: Sequence[int]) -> Batch:
        """These slices as float images."""
        chosen = list(indices)
        images = self.images[chosen].float().div_(255)
        return Batch(images, self.labels[chosen], tuple(self.names[i] for i in chosen))

    def select(self, keep: Callable[[Tensor], bool]) -> "SliceSet":
        """The slices whose label map (H, W) is kept by the rule."""
        kept = [i for i in range(len(self)) if keep(self.labels[i])]
        return SliceSet(
            self.images[kept],
            self.labels[kept],
            tuple(self.names[i] for i in kept),
            tuple(self.patients[i] for i in kept),
        )


def load_slices(cases: Iterable[Case], canvas: Canvas) -> SliceSet:
    """Read all slices of the cases and draw them on the canvas."""
    images, labels, names, patients = [], [], [], []
    for case in cases:
        for axial in case.read_slices():
            placement = find_placement(axial.hu, spacing_mm=axial.spacing_mm, canvas=canvas, grow=False)
            shown = torch.from_numpy(canvas.window.apply(axial.hu))[None, None]
            images.append(draw(shown, placement)[0].mul(255).round().to(torch.uint8))
            labels.append(draw_labels(torch.from_numpy(axial.labels.copy())[None], placement)[0])
            names.append(axial.name)
            patients.append(axial.patient)
    return SliceSet(torch.stack(images), torch.stack(labels), tuple(names), tuple(patients))


def contains(*labels: Label) -> Callable[[Tensor], bool]:
    """Rule for `SliceSet.select`: the slice shows at least one pixel of one of the labels."""
    return lambda label_map: any(bool((label_map == label).any()) for label in labels)


def deal(
    sets: Sequence[SliceSet],
    *,
    counts: Sequence[int],
    batch_size: int,
    augmentation: Augmentation,
    generator: Generator,
) -> Iterator[Batch]:
    """The batches of one epoch: ``counts[i]`` slices of ``sets[i]``, mixed and changed at random.

    Each set is gone through in random order before any of its slices comes again. The same generator state
    gives the same batches.

    Args:
        sets: Slices of equal canvas.
        counts: Slices taken from each set.
        batch_size: Slices of a batch; the last batch may be smaller, but never of one slice unless batch_size
            is 1 (batch normalisation needs company).
        augmentation: The random changes.
        generator: The only source of randomness.
    """
    drawn = [
        (which, index)
        for which, (slices, count) in enumerate(zip(sets, counts, strict=True))
        for index in _rounds(len(slices), count, generator)
    ]
    order = torch.randperm(len(drawn), generator=generator).tolist()
    for start in range(0, len(order), batch_size):
        chosen = [drawn[i] for i in order[start : start + batch_size]]
        if len(chosen) == 1 < batch_size:
            return
        parts = [sets[which].batch([index]) for which, index in chosen]
        images, labels = augment(
            torch.cat([part.images for part in parts]),
            torch.cat([part.labels for part in parts]),
            settings=augmentation,
            generator=generator,
        )
        yield Batch(images, labels, tuple(name for part in parts for name in part.names))


def _rounds(size: int, count: int, generator: Generator) -> list[int]:
    if size == 0 < count:
        raise ValueError(f"{count} slices asked of an empty set")
    indices: list[int] = []
    while len(indices) < count:
        indices += torch.randperm(size, generator=generator).tolist()
    return indices[:count]
