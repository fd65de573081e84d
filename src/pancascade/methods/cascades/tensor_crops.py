"""Differentiable crops: cropping a box from each image, resizing, and pasting results back."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Generator, Tensor
from torch.nn import functional

from pancascade.imaging.volume import Box
from pancascade.methods.cascades.protocol import Located

CROPPED = (
    "second: in each slice the box of P >= 0.5 widened by margin pixels and clipped, cut out, resized to crop_size "
    "(bilinear); resize its last logits back to the box; probability = sigmoid(logits), 0 outside the box."
)
"""Crops of stage 2, for `Cascade.export_chain`."""

ABSENT_LOGIT = -1e7
"""Logit outside every crop: probability 0 in every precision."""

IMPOSSIBLE_LOGIT = -100.0
"""Logit outside a crop where a loss is computed: its log-probability is the least that torch's cross-entropy allows."""

FILLED_TO, FILLED_AT_LEAST = 16, 64
"""Sides of unresized crops are multiples of the first number, as U-Nets need, and at least the second number, so that
a network that halves five times has several values to normalise by."""


def box_around(mask: Tensor, *, margin: int | Sequence[tuple[int, int]]) -> Box | None:
    """Return the smallest box around a mask (H, W), expanded by a margin and clipped: [min − K, max + K + 1).

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
    """Return the box of Z = P ≥ 0.5 with a margin for each P of (B, 1, H, W); no box if Z is empty."""
    boxes = [box_around(mask, margin=margin) for mask in probabilities[:, 0] >= 0.5]
    return Located(probabilities, tuple(() if box is None else (box,) for box in boxes))


def random_margin(margin: int, generator: Generator) -> int | list[tuple[int, int]]:
    """Return K for all sides with probability ½, else a uniform integer 0…2K per side (methods.md §A3)."""
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
    """Crop each image to its box, and resize the crops to one size.

    Args:
        images: (B, C, H, W).
        boxes: One box per image, inside it.
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


def crop_and_fill(images: Tensor, boxes: Sequence[Box]) -> Tensor:
    """Crop each image to its box without resizing, at the upper left of a map of zeros.

    Args:
        images: (B, C, H, W).
        boxes: One box per image, inside it.

    Returns:
        (B, C, h, w), differentiable in the images: the largest height and width of the boxes, rounded up to multiples
        of 16, and at least 64.

    Source: RSTN feeds unresized crops; methods.md §A3.
    """
    height, width = (
        max(FILLED_AT_LEAST, -(-max(box.shape[axis] for box in boxes) // FILLED_TO * FILLED_TO)) for axis in (0, 1)
    )
    crops = []
    for image, box in zip(images, boxes, strict=True):
        missing = (0, width - box.shape[1], 0, height - box.shape[0])
        crops.append(functional.pad(image[(None, slice(None), *box.slices)], missing))
    return torch.cat(crops)


def cut_back(maps: Tensor, boxes: Sequence[Box]) -> list[Tensor]:
    """Return the part (1, C, *box.shape) of each box from maps (B, C, h, w) of padded crops."""
    return [one[None, :, : box.shape[0], : box.shape[1]] for one, box in zip(maps, boxes, strict=True)]


def resize_and_paste(
    logits: Tensor, boxes: Sequence[Box], canvas: tuple[int, int], *, outside: float = ABSENT_LOGIT
) -> Tensor:
    """Resize and paste logits to their boxes, the inverse of `crop_and_resize`.

    Args:
        logits: (B, 1, h, w).
        boxes: One box per image.
        canvas: Height and width of the images.
        outside: Logit outside the box.

    Returns:
        Logits (B, 1, *canvas), float32.
    """
    resized = [
        functional.interpolate(logit[None], size=box.shape, mode="bilinear")
        for logit, box in zip(logits.float(), boxes, strict=True)
    ]
    return paste(resized, boxes, canvas, outside=outside)


def paste(
    logits: Sequence[Tensor], boxes: Sequence[Box], canvas: tuple[int, int], *, outside: float = ABSENT_LOGIT
) -> Tensor:
    """Paste logits (1, 1, *box.shape) into their boxes on a canvas of another logit; (B, 1, *canvas), float32."""
    pasted = []
    for logit, box in zip(logits, boxes, strict=True):
        (top, left), (bottom, right) = box.start, box.stop
        around = (left, canvas[1] - right, top, canvas[0] - bottom)
        pasted.append(functional.pad(logit.float(), around, value=outside))
    return torch.cat(pasted)
