"""Random changes of position, shape and grey value that keep a CT slice plausible."""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from pancascade.data.sampling.appearance import change_contents, change_sharpness
from pancascade.data.sampling.artificial_lesions import add_lesions
from pancascade.data.sampling.augmentation_settings import Augmentation
from pancascade.data.sampling.neighbour_changes import change_neighbours


def augment(images: Tensor, labels: Tensor, *, settings: Augmentation, generator: Generator) -> tuple[Tensor, Tensor]:
    """Change each image at random, and its labels with it.

    Args:
        images: (B, C, H, W) in [0, 1], or volumes (B, 1, I, J, K) whose axial slices all change equally.
        labels: (B, H, W) or (B, I, J, K) uint8.
        settings: The ranges.
        generator: The only source of randomness.

    Returns:
        Images in [0, 1] and labels uint8, of the same shapes.
    """
    if images.ndim == 5:
        slices, marked = augment(
            images[:, 0].permute(0, 3, 2, 1), labels.permute(0, 3, 2, 1), settings=settings, generator=generator
        )
        return slices.permute(0, 3, 2, 1)[:, None], marked.permute(0, 3, 2, 1)
    stacked = labels if labels.ndim == 4 else labels[:, None]
    grid = _sampling_grid(images, settings, generator)
    images = functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    moved = functional.grid_sample(stacked.float(), grid, mode="nearest", padding_mode="zeros", align_corners=False).to(
        torch.uint8
    )
    images, moved = add_lesions(images, moved, probability=settings.lesion_probability, generator=generator)
    if labels.ndim == 3:  # the channels of a volume are its slices, not neighbours
        images = change_neighbours(images, settings, generator)
    images = change_contents(images, stacked=moved, settings=settings, generator=generator)
    return _change_grey_values(images, settings, generator), moved if labels.ndim == 4 else moved[:, 0]


def _uniform(count: int, limit: float, generator: Generator) -> Tensor:
    return (torch.rand(count, generator=generator) * 2 - 1) * limit


def _factor(count: int, limit: float, generator: Generator) -> Tensor:
    return torch.exp(_uniform(count, math.log1p(limit), generator))


def _sampling_grid(images: Tensor, settings: Augmentation, generator: Generator) -> Tensor:
    count, _, height, width = images.shape
    angle = _uniform(count, math.radians(settings.rotation_degrees), generator)
    scale = _factor(count, settings.scaling, generator)
    stretch = _factor(count, settings.stretching, generator).sqrt()
    cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
    theta = torch.zeros(count, 2, 3)
    # Rotation acts on pixels, the grid on half-widths, so off-diagonal terms contain the aspect ratio.
    theta[:, 0, 0], theta[:, 0, 1] = cosine * stretch, -sine * stretch * height / width
    theta[:, 1, 0], theta[:, 1, 1] = sine / stretch * width / height, cosine / stretch
    theta[:, 0, 2] = _uniform(count, 2 * settings.shift_pixels / width, generator)
    theta[:, 1, 2] = _uniform(count, 2 * settings.shift_pixels / height, generator)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    if settings.mirror_probability > 0:
        mirrored = torch.rand(count, generator=generator) < settings.mirror_probability
        grid[mirrored, ..., 0] *= -1
    if settings.elastic_pixels > 0:
        coarse = torch.randn(count, 2, 6, 6, generator=generator) * settings.elastic_pixels
        coarse *= torch.tensor([2 / width, 2 / height]).view(1, 2, 1, 1)
        smooth = functional.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=True)
        grid = grid + smooth.permute(0, 2, 3, 1)
    return grid


def _change_grey_values(images: Tensor, settings: Augmentation, generator: Generator) -> Tensor:
    count = images.shape[0]
    shape = (count, 1, 1, 1)
    contrast = _factor(count, settings.contrast, generator).view(shape)
    brightness = _uniform(count, settings.brightness, generator).view(shape)
    exponent = _factor(count, settings.gamma, generator).view(shape)
    images = ((images - 0.5) * contrast + 0.5 + brightness).clamp(0, 1)
    if settings.gamma > 0:
        images = images**exponent
    blurred = torch.rand(count, generator=generator) < settings.blur_probability
    if bool(blurred.any()):
        smooth = functional.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)
        images = torch.where(blurred.view(shape), smooth, images)
    images = change_sharpness(images, settings, generator)
    if settings.noise > 0:
        deviation = torch.rand(shape, generator=generator) * settings.noise
        images = images + torch.randn(images.shape, generator=generator) * deviation
    return images.clamp(0, 1)
