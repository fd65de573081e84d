"""Artificial lesions in healthy pancreata, as more training examples of small tumours."""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from pancascade.labels import Label

SMALLEST_RADIUS, LARGEST_RADIUS = 3.0, 16.0
"""In pixels; radii are uniform on a logarithmic scale, so small lesions are as frequent as large ones."""

LEAST_DARKER, MOST_DARKER = 0.06, 0.32
"""How much darker than the pancreas a lesion is, as a share of the window's width: 11 to 58 HU of 180."""

CHANNEL_PIXELS = 3.0
"""Distance of neighbouring slices, in pixel widths."""

LEAST_PANCREAS = 40
"""Pixels of pancreas that a slice needs."""

TEXTURE = 9
"""Pixels over which the grey value is averaged; finer differences are texture, which a lesion keeps."""

LARGEST_TEXTURE = 0.08
"""Larger differences are vessels or fat between the lobules, and are not kept."""


def add_lesions(images: Tensor, labels: Tensor, *, probability: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Paint a darker mass into the pancreas of some images that show no tumour.

    The mass is an irregular ellipsoid around a random pixel of the pancreas. It replaces pancreas and what lies right
    beside it, with a blurred edge, and keeps the image's texture. Ours; after the idea of Hu et al. 2023 (Label-free
    liver tumor segmentation), that hand-made lesions teach small tumours.

    Args:
        images: (B, C, H, W) in [0, 1]: a slice with its neighbours, or the slices of a volume.
        labels: (B, D, H, W) uint8, ids of `Label`: D is 1, the middle slice's labels, or C.
        probability: Share of the images with pancreas and without tumour that get a lesion.
        generator: The only source of randomness.

    Returns:
        New images and labels of the same shapes.
    """
    if probability == 0:
        return images, labels
    chosen = torch.rand(len(images), generator=generator) < probability
    chosen &= ~(labels == Label.TUMOUR).flatten(1).any(dim=1)
    chosen &= (labels == Label.PANCREAS).flatten(2).sum(dim=2).amax(dim=1) >= LEAST_PANCREAS
    images, labels = images.clone(), labels.clone()
    for index in torch.nonzero(chosen)[:, 0].tolist():
        images[index], labels[index] = _with_lesion(images[index], labels[index], generator)
    return images, labels


def _with_lesion(image: Tensor, label: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Return the image (C, H, W) and the labels (D, H, W) with one lesion."""
    channels = len(image)
    pancreas = label == Label.PANCREAS
    depth = int(pancreas.flatten(1).sum(dim=1).argmax())
    pixels = torch.nonzero(pancreas[depth])
    centre = pixels[_below(len(pixels), generator)].float()
    middle = depth if len(label) == channels else channels // 2
    shares = _shares(image.shape, centre=centre, middle=middle, repeated=_only_repeats(image), generator=generator)
    near = functional.max_pool2d(pancreas.any(dim=0)[None].float(), 7, stride=1, padding=3)[0] > 0
    shares = shares * near
    grey = image[middle][pancreas[depth]].median() - _between(LEAST_DARKER, MOST_DARKER, generator)
    mass = grey.clamp(0.05, 0.9) + _texture(image, pancreas)
    image = (image * (1 - shares) + mass * shares).clamp(0, 1)
    lesion = shares > 0.5 if len(label) == channels else shares[middle : middle + 1] > 0.5
    return image, label.masked_fill(lesion, Label.TUMOUR)


def _shares(shape: torch.Size, *, centre: Tensor, middle: int, repeated: bool, generator: Generator) -> Tensor:
    """Return how much of each pixel (C, H, W) is lesion, in [0, 1]."""
    channels, height, width = shape
    radius = math.exp(_between(math.log(SMALLEST_RADIUS), math.log(LARGEST_RADIUS), generator))
    ratio, angle = _between(0.6, 1.0, generator), _between(0, math.pi, generator)
    rows, columns = torch.meshgrid(torch.arange(height) - centre[0], torch.arange(width) - centre[1], indexing="ij")
    along = rows * math.cos(angle) + columns * math.sin(angle)
    across = columns * math.cos(angle) - rows * math.sin(angle)
    slices = (torch.arange(channels) - middle) * (0.0 if repeated else CHANNEL_PIXELS)
    squares = (along**2 + (across / ratio) ** 2)[None] + slices.view(-1, 1, 1) ** 2
    nodes = max(4, round(max(height, width) / radius))
    coarse = torch.randn(1, 1, nodes, nodes, generator=generator)
    uneven = functional.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=True)[0]
    distance = squares.sqrt() / radius + 0.2 * uneven  # 1 at the edge
    edge = _between(0.7, 2.5, generator)  # width of the blurred edge, in pixels
    return torch.sigmoid((1 - distance) * radius / edge * 2)


def _texture(image: Tensor, pancreas: Tensor) -> Tensor:
    """Return how the pancreas's pixels differ from their surroundings in the pancreas; 0 elsewhere (C, H, W)."""
    organ = pancreas.float()
    near = _mean(organ).clamp(min=1e-3)
    return ((image - _mean(image * organ) / near) * organ).clamp(-LARGEST_TEXTURE, LARGEST_TEXTURE)


def _mean(image: Tensor) -> Tensor:
    return functional.avg_pool2d(image, TEXTURE, stride=1, padding=TEXTURE // 2)


def _only_repeats(image: Tensor) -> bool:
    return len(image) > 1 and bool((image == image[:1]).all())


def _between(low: float, high: float, generator: Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def _below(count: int, generator: Generator) -> int:
    return int(torch.randint(count, (), generator=generator))
