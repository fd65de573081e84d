"""Random changes of the neighbouring slices of a slice."""

import torch
from torch import Generator, Tensor
from torch.nn import functional

from pancascade.data.sampling.augmentation_settings import Augmentation

NODES = 7
"""Nodes of the displacement's random field along each axis."""


def change_neighbours(images: Tensor, settings: Augmentation, generator: Generator) -> Tensor:
    """Replace the neighbours of some images by the slice, and warp neighbours that only repeat the slice.

    Args:
        images: (B, C, H, W), the slice in the middle channel; returned unchanged if there is only one channel.
        settings: The ranges.
        generator: The only source of randomness.
    """
    channels = images.shape[1]
    if channels == 1 or (settings.neighbour_dropout == 0 and settings.neighbour_warp_pixels == 0):
        return images
    middle = channels // 2
    dropped = torch.rand(len(images), generator=generator) < settings.neighbour_dropout
    images = torch.where(dropped[:, None, None, None], images[:, middle : middle + 1], images)
    if settings.neighbour_warp_pixels > 0:
        alone = (images == images[:, middle : middle + 1]).flatten(1).all(dim=1)
        bent = alone & (torch.rand(len(images), generator=generator) < 0.5)
        for index in torch.nonzero(bent)[:, 0].tolist():
            images[index] = _bent(images[index, middle], channels, settings.neighbour_warp_pixels, generator)
    return images


def _bent(image: Tensor, channels: int, pixels: float, generator: Generator) -> Tensor:
    """Return (C, H, W): the image (H, W) warped along one random displacement, in both directions."""
    height, width = image.shape
    coarse = torch.randn(1, 2, NODES, NODES, generator=generator) * pixels
    coarse *= torch.tensor([2 / width, 2 / height]).view(1, 2, 1, 1)
    field = functional.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=True)
    steps = torch.arange(channels) - channels // 2
    identity = functional.affine_grid(torch.eye(2, 3)[None], [1, 1, height, width], align_corners=False)
    grid = identity + steps.view(-1, 1, 1, 1) * field.permute(0, 2, 3, 1)
    moved = functional.grid_sample(
        image.expand(channels, 1, -1, -1), grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )
    return moved[:, 0]
