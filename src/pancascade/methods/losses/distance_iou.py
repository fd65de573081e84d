"""Distance-IoU loss: overlap of boxes and distance of their centres."""

import torch
from torch import Tensor

from pancascade.methods.losses.arguments import full_precision
from pancascade.methods.losses.overlap import one_minus_ratio


def distance_iou(boxes: Tensor, target: Tensor) -> Tensor:
    """Return the distance-IoU loss of each pair of boxes.

    L = 1 − IoU + ρ²/c², with ρ the distance of the centres and c the diagonal of the smallest box around both.
    In [0, 2); 0 for two equal boxes, also empty ones.

    Args:
        boxes: (..., 4): x₁ ≤ x₂, y₁ ≤ y₂ as (x₁, y₁, x₂, y₂), in any unit.
        target: (..., 4), in the same form and unit.

    Returns:
        (...), one loss per pair.

    Raises:
        ValueError: The shapes differ, or are not (..., 4).

    Source: Zheng et al. 2020, Eq. 7; L-SNet, Eq. 5.
    """
    if boxes.shape != target.shape or boxes.ndim == 0 or boxes.shape[-1] != 4:
        raise ValueError(f"expected two tensors of boxes (..., 4), got {tuple(boxes.shape)} and {tuple(target.shape)}")
    boxes = full_precision(boxes)
    target = target.to(boxes.dtype)
    low, high, target_low, target_high = boxes[..., :2], boxes[..., 2:], target[..., :2], target[..., 2:]
    common = (torch.minimum(high, target_high) - torch.maximum(low, target_low)).clamp(min=0).prod(dim=-1)
    union = (high - low).prod(dim=-1) + (target_high - target_low).prod(dim=-1) - common
    centres = (low + high - target_low - target_high).square().sum(dim=-1) / 4
    diagonal = (torch.maximum(high, target_high) - torch.minimum(low, target_low)).square().sum(dim=-1)
    apart = centres / torch.where(diagonal > 0, diagonal, 1)
    return one_minus_ratio(common, union) + apart


def distances_to_boxes(distances: Tensor) -> Tensor:
    """Return boxes around the origin from their distances: (l, t, r, b) to (−l, −t, r, b).

    Args:
        distances: (..., 4), from a point to the left, top, right and bottom edge.

    Returns:
        (..., 4): x₁, y₁, x₂, y₂ relative to that point.
    """
    return torch.cat((-distances[..., :2], distances[..., 2:]), dim=-1)


def distance_iou_loss(distances: Tensor, target: Tensor, positive: Tensor) -> Tensor:
    """Return the distance-IoU loss of a map of boxes, the mean over the positive cells of the batch.

    L = (1/N_pos) Σ 1[positive] DIoU; 0 without a positive cell. Prediction and target of a cell are relative to the
    same point, so its position does not matter.

    Args:
        distances: (B, 4, h, w), predicted l, t, r, b, positive.
        target: (B, 4, h, w), the reference distances; ignored in cells that are not positive.
        positive: (B, 1, h, w), boolean.

    Returns:
        Scalar.

    Raises:
        ValueError: The shapes do not fit.

    Source: L-SNet, Eq. 5; methods.md §B2.
    """
    fits = distances.ndim == 4 and distances.shape[1] == 4 and target.shape == distances.shape
    if not fits or positive.shape != (len(distances), 1, *distances.shape[2:]):
        raise ValueError(
            f"expected distances and target (B, 4, h, w) and positive (B, 1, h, w), got"
            f" {tuple(distances.shape)}, {tuple(target.shape)} and {tuple(positive.shape)}"
        )
    chosen = positive[:, 0].bool()
    predicted, true = (distances_to_boxes(maps.movedim(1, -1)[chosen]) for maps in (distances, target))
    return distance_iou(predicted, true).sum() / max(len(predicted), 1)
