"""Batches of an epoch."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Generator, Tensor

from pancascade.data.sampling.augmentation import augment
from pancascade.data.sampling.augmentation_settings import Augmentation
from pancascade.data.sampling.batch import Batch
from pancascade.data.sampling.slices import SliceSet
from pancascade.data.sampling.volumes import VolumeSet
from pancascade.labels import Label

SampleSet = SliceSet | VolumeSet
"""Slices or volumes in memory."""


def contains(*labels: Label) -> Callable[[Tensor], bool]:
    """Return a rule for `select`: the sample has at least one pixel of one of the labels."""
    return lambda label_map: any(bool((label_map == label).any()) for label in labels)


def draw_batches(
    sets: Sequence[SampleSet],
    *,
    counts: Sequence[int],
    batch_size: int,
    augmentation: Augmentation,
    generator: Generator,
) -> Iterator[Batch]:
    """Yield the batches of one epoch: ``counts[i]`` samples of ``sets[i]``, shuffled and augmented.

    All samples of a set are drawn in random order before any is repeated. The same generator state gives the same
    batches.

    Args:
        sets: Sets of samples of equal size, or of any sizes with a batch_size of 1.
        counts: Number of samples from each set.
        batch_size: Samples of a batch; the last batch may be smaller. A last batch of one sample is dropped unless
            batch_size is 1, because batch normalisation needs several.
        augmentation: The random changes.
        generator: The only source of randomness.
    """
    drawn = [
        (which, index)
        for which, (samples, count) in enumerate(zip(sets, counts, strict=True))
        for index in _rounds(len(samples), count, generator)
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
        raise ValueError(f"{count} samples asked of an empty set")
    indices: list[int] = []
    while len(indices) < count:
        indices += torch.randperm(size, generator=generator).tolist()
    return indices[:count]
