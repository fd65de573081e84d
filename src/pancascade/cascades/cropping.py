"""Differentiable crops: cut a box from each image, resize, and put results back."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Generator, Tensor
from torch.nn import functional

from pancascade.cascades.protocol import Located
from pancascade.volume import Box

ABSENT_LOGIT = -1e7
"""Logit outside every crop: probability 0 in every precision."""


def box_around(mask: Tensor, *, margin: int | Sequence[tuple[int, int]]) -> Box | None:
    """Smallest box around a mask (H, W), widened by a margin and clipped: [min − K, max + K + 1).

    Args:
        mask: (H, W), boolean.
        margin: K for all sides, or (before, after) for each axis.

    Returns:
        The box, or None if the mask is empty.

    Source: Qiu et al. 2024, §3.2; methods.md §A3.
    """
    box = Box.around(mask.detach().cpu().numpy())
    if box is None:
        return None
    return box.expand(margin).clip(tuple(mask.shape))


def hand_over(probabilities: Tensor, *, margin: int) -> Located:
    """The box of Z = P ≥ 0.5 with a margin, for each image's P in (B, 1, H, W); none where Z is empty."""
    boxes = [box_around(mask, margin=margin) for mask in probabilities[:, 0] >= 0.5]
    return Located(probabilities, tuple(() if box is None else (box,) for box in boxes))


def random_margin(margin: int, generator: Generator) -> int | list[tuple[int, int]]:
    """With probability ½ the margin K on all sides, else each side a uniform integer 0…2K (methods.md §A3)."""
    if torch.rand((), generator=generator) < 0.5:
        return margin
    sides = torch.randint(0, 2 * margin + 1, (2, 2), generator=generator).tolist()
    return [(before, after) for before, after in sides]


def crop_and_resize(
    images: Tensor,
    boxes: Sequence[Box],
    size: tuple[int, int],
    *,
    mode: Literal["bilinear", "nearest-exact"] = "bilinear",
) -> Tensor:
    """Each image's box at one size.

    Args:
        images: (B, C, H, W).
        boxes: One for each image, inside it.
        size: Height and width of the result.
        mode: ``bilinear`` for images, ``nearest-exact`` for masks.

    Returns:
        (B, C, *size), differentiable in the images, not in the boxes.
    """
    crops = [
        functional.interpolate(image[(None, slice(None), *box.slices)], size=size, mode=mode)
        for image, box in zip(images, boxes, strict=True)
    ]
    return torch.cat(crops)


def resize_and_paste(logits: Tensor, boxes: Sequence[Box], canvas: tuple[int, int]) -> Tensor:
    """The inverse of `crop_and_resize` for logits: absent outside the box.

    Args:
        logits: (B, 1, h, w).
        boxes: One for each image.
        canvas: Height and width of the images.

    Returns:
        Logits (B, 1, *canvas), float32.
    """
    pasted = []
    for logit, box in zip(logits.float(), boxes, strict=True):
        resized = functional.interpolate(logit[None], size=box.shape, mode="bilinear")
        (top, left), (bottom, right) = box.start, box.stop
        around = (left, canvas[1] - right, top, canvas[0] - bottom)
        pasted.append(functional.pad(resized, around, value=ABSENT_LOGIT))
    return torch.cat(pasted)
