"""Random changes of content and sharpness of CT slices: other scanners, contrast phases and gut fillings."""

import torch
from torch import Generator, Tensor
from torch.nn import functional

from pancascade.data.sampling.augmentation_settings import Augmentation
from pancascade.labels import Label

GUT_FIELD = 24
"""Nodes along each axis of the random field whose maxima become gut, a few centimetres wide in a whole slice."""

COARSEST = 3.0


def change_contents(images: Tensor, *, stacked: Tensor, settings: Augmentation, generator: Generator) -> Tensor:
    """Fill gut with contrast or gas, and shift the grey value of the target.

    Args:
        images: (B, C, H, W) in [0, 1].
        stacked: Labels of the same slices (B, D, H, W), ids of `Label`.
        settings: The ranges.
        generator: The only source of randomness.
    """
    if settings.gut_probability == 0 and settings.target_shift == 0:
        return images
    target = ((stacked == Label.PANCREAS) | (stacked == Label.TUMOUR)).any(dim=1, keepdim=True).float()
    near = functional.max_pool2d(target, 7, stride=1, padding=3)
    if settings.target_shift > 0:
        soft = functional.avg_pool2d(target, 5, stride=1, padding=2, count_include_pad=False)
        shift = (torch.rand(len(images), 1, 1, 1, generator=generator) * 2 - 1) * settings.target_shift
        images = (images + soft * shift).clamp(0, 1)
    return _fill_gut(images, near, settings.gut_probability, generator)


def _fill_gut(images: Tensor, near: Tensor, probability: float, generator: Generator) -> Tensor:
    chosen = torch.nonzero(torch.rand(len(images), generator=generator) < probability)[:, 0]
    if len(chosen) == 0:
        return images
    count = len(chosen)
    coarse = torch.randn(count, 1, GUT_FIELD, GUT_FIELD, generator=generator)
    field = functional.interpolate(coarse, size=images.shape[-2:], mode="bicubic", align_corners=True)
    where = torch.sigmoid((field - 1.3) * 12)
    # Only soft tissue is replaced: fat around gut, bone and air stay.
    shown = images[chosen].mean(dim=1, keepdim=True)
    tissue = functional.avg_pool2d(shown, 5, stride=1, padding=2, count_include_pad=False)
    where = where * ((tissue > 0.05) & (tissue < 0.8)) * (1 - near[chosen])
    bright = 0.5 + 0.5 * torch.rand(count, 1, 1, 1, generator=generator)
    filling = torch.where(torch.rand(count, 1, 1, 1, generator=generator) < 0.75, bright, torch.zeros(()))
    images = images.clone()
    images[chosen] = images[chosen] * (1 - where) + filling * where
    return images


def change_sharpness(images: Tensor, settings: Augmentation, generator: Generator) -> Tensor:
    """Reduce the resolution of some images (B, C, H, W), and sharpen the edges of others."""
    if settings.coarse_probability > 0:
        for index in _chosen(len(images), settings.coarse_probability, generator):
            factor = 1 + (COARSEST - 1) * float(torch.rand((), generator=generator))
            size = [max(8, round(side / factor)) for side in images.shape[-2:]]
            small = functional.interpolate(images[index : index + 1], size=size, mode="bilinear", antialias=True)
            images[index] = functional.interpolate(small, size=images.shape[-2:], mode="bilinear")[0]
    if settings.sharp_probability > 0:
        for index in _chosen(len(images), settings.sharp_probability, generator):
            smooth = functional.avg_pool2d(images[index], 3, stride=1, padding=1, count_include_pad=False)
            amount = 1.5 * torch.rand((), generator=generator)
            images[index] = (images[index] + amount * (images[index] - smooth)).clamp(0, 1)
    return images


def _chosen(count: int, probability: float, generator: Generator) -> list[int]:
    return torch.nonzero(torch.rand(count, generator=generator) < probability)[:, 0].tolist()
