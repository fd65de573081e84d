"""Targets of L-Net for a mask, per cell; and keypoints of a predicted heatmap.

Cell (x, y) belongs to the image point (4x + 2, 4y + 2) in edge coordinates: pixel i spans [i, i + 1].
"""

import math
from typing import Literal, NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

Spread = Literal["fixed", "cornernet"]
Regions = Literal["component", "slice"]

EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


class KeypointTargets(NamedTuple):
    """Targets of L-Net.

    Attributes:
        heatmap: M of Eq. 1, (B, 1, h, w) in [0, 1]; 0 everywhere without a region.
        distances: Distances to the left, top, right and bottom edge of the cell's box in pixels, (B, 4, h, w); 0 in
            cells that are not positive.
        positive: Cells whose distances are trained: M ≥ a threshold and inside the box, (B, 1, h, w), boolean.
    """

    heatmap: Tensor
    distances: Tensor
    positive: Tensor


def keypoint_targets(
    masks: Tensor,
    *,
    stride: int = 4,
    sigma: float = 2.0,
    spread: Spread = "fixed",
    round_centres: bool = False,
    regions: Regions = "component",
    threshold: float = 0.5,
) -> KeypointTargets:
    """Return the heatmap and distances that L-Net learns for masks.

    A region is an 8-connected component of the mask, as at inference, or the whole mask. Its keypoint is the middle of
    its bounding box ("the true centers of the foreground bboxes", §2.1), not its centre of mass. A cell belongs to the
    region with the nearest keypoint, and is positive only inside that region's half-open box. A single box at least as
    large as a cell always has a positive cell; a smaller box may have none.

    Args:
        masks: (B, 1, H, W), binary; H and W divisible by the stride.
        stride: Pixels per cell.
        sigma: σ of Eq. 1 in cells; the paper's value is lost.
        spread: ``fixed`` σ, or ``cornernet``: σ = (2r + 1)/6, r a region's `cornernet_radius`, rounded down.
        round_centres: Round keypoints to whole cells, where M is then exactly 1; otherwise they lie between cells.
        regions: One region per ``component``, or one per ``slice``.
        threshold: Least M of a cell whose distances are trained.

    Returns:
        Float32 targets on the masks' device; h, w = H/stride, W/stride.

    Raises:
        ValueError: masks is not (B, 1, H, W) with sides divisible by the stride, or σ is not positive.

    Source: L-SNet, §2.1, Eqs. 1 and 5; variants in methods.md §B1.
    """
    if masks.ndim != 4 or masks.shape[1] != 1 or masks.shape[2] % stride or masks.shape[3] % stride:
        raise ValueError(f"expected masks (B, 1, H, W) with sides divisible by {stride}, got {tuple(masks.shape)}")
    if sigma <= 0:
        raise ValueError(f"sigma must be positive, got {sigma}")
    height, width = (side // stride for side in masks.shape[2:])
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    points = torch.stack(((columns + 0.5).expand(height, width), (rows + 0.5).expand(height, width))) * stride
    targets = []
    for mask in masks[:, 0]:
        boxes = region_boxes(mask, regions=regions)
        centres = (boxes[:, :2] + boxes[:, 2:]) / (2 * stride) - 0.5
        if round_centres:
            centres = nearest_cells(centres).float()
        heatmap, nearest = _gaussians(centres, _spreads(boxes / stride, sigma, spread), (height, width))
        targets.append(_targets_of_one(points, boxes, heatmap, nearest, threshold))
    heatmaps, distances, positive = (torch.stack(maps).to(masks.device) for maps in zip(*targets, strict=True))
    return KeypointTargets(heatmaps, distances, positive)


def region_boxes(mask: Tensor, *, regions: Regions = "component") -> Tensor:
    """Return bounding boxes (K, 4) of a mask (H, W): x₁, y₁, x₂, y₂ in edge coordinates, half-open.

    Args:
        mask: Values above 0 are inside.
        regions: One box per ``component``, or one per ``slice`` around all of them; none for an empty mask.
    """
    inside = mask.detach().cpu().numpy() > 0
    components = ndimage.label(inside, structure=EIGHT_NEIGHBOURS)[0] if regions == "component" else inside.astype(int)
    found = ndimage.find_objects(components)
    edges = [(columns.start, rows.start, columns.stop, rows.stop) for rows, columns in found]
    return torch.tensor(edges, dtype=torch.float32).view(-1, 4)


def _spreads(boxes: Tensor, sigma: float, spread: Spread) -> Tensor:
    """Return σ (K,) in cells, of boxes (K, 4) in cells."""
    if spread == "fixed":
        return torch.full((len(boxes),), float(sigma))
    sizes = (boxes[:, 2:] - boxes[:, :2]).tolist()
    return torch.tensor([(2 * math.floor(cornernet_radius(w, h)) + 1) / 6 for w, h in sizes])


def _gaussians(centres: Tensor, sigmas: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return M of Eq. 1, (h, w), and the index (h, w) of the nearest of centres (K, 2); zeros without any."""
    if len(centres) == 0:
        return torch.zeros(size), torch.zeros(size, dtype=torch.long)
    dy = torch.arange(size[0])[:, None] - centres[:, 1, None, None]
    dx = torch.arange(size[1]) - centres[:, 0, None, None]
    squared = dx.square() + dy.square()
    heatmap = torch.exp(-squared / (2 * sigmas[:, None, None].square())).amax(dim=0)
    return heatmap, squared.argmin(dim=0)


def _targets_of_one(
    points: Tensor, boxes: Tensor, heatmap: Tensor, nearest: Tensor, threshold: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return heatmap (1, h, w), distances (4, h, w) and positive cells (1, h, w) of one image; points (2, h, w)."""
    if len(boxes) == 0:
        return heatmap[None], torch.zeros(4, *heatmap.shape), torch.zeros(1, *heatmap.shape, dtype=torch.bool)
    own = boxes[nearest].movedim(-1, 0)
    before, after = points - own[:2], own[2:] - points
    inside = (before >= 0).all(dim=0) & (after > 0).all(dim=0)
    positive = inside & (heatmap >= threshold)
    return heatmap[None], torch.where(positive, torch.cat((before, after)), 0), positive[None]


def cornernet_radius(width: float, height: float, *, overlap: float = 0.3) -> float:
    """Return how far both corners of a box may move before its IoU with the original can fall below a limit.

    A shrinking box loses most: (w − 2r)(h − 2r)/(wh) = IoU. (CornerNet's published code also considers boxes that grow
    or shift, and has wrong roots; at its overlap of 0.7 it gives about the result of this function at the paper's 0.3.)

    Args:
        width: Width of the box, positive.
        height: Height of the box, in the same unit.
        overlap: The least IoU, in (0, 1).

    Returns:
        r, in the same unit.

    Source: Law and Deng 2018, §3.2.
    """
    total = width + height
    return (total - math.sqrt(total**2 - 4 * width * height * (1 - overlap))) / 4


def find_keypoints(heatmaps: Tensor, *, threshold: float = 0.5, regions: Regions = "component") -> list[Tensor]:
    """Return the keypoints of heatmaps: centroids of the 8-connected components at or above a threshold.

    Distances are predicted per cell: a region is the box around the `nearest_cells` of its keypoint.

    Args:
        heatmaps: (B, 1, h, w), probabilities.
        threshold: Least probability of an active cell.
        regions: ``component``: a keypoint per component; ``slice``: only that of the component with the highest cell.

    Returns:
        (K, 2) for each image, (x, y) in cells, usually fractional; K is 0 without an active cell.

    Raises:
        ValueError: heatmaps is not (B, 1, h, w).

    Source: L-SNet, §2.5; connectivity is ours (methods.md §B4).
    """
    if heatmaps.ndim != 4 or heatmaps.shape[1] != 1:
        raise ValueError(f"expected heatmaps (B, 1, h, w), got {tuple(heatmaps.shape)}")
    keypoints = []
    for heatmap in heatmaps[:, 0].detach().float().cpu().numpy():
        active = heatmap >= threshold
        components, count = ndimage.label(active, structure=EIGHT_NEIGHBOURS)
        wanted = (
            range(1, count + 1) if regions == "component" else [int(components.flat[heatmap.argmax()])] * (count > 0)
        )
        centroids = ndimage.center_of_mass(active, components, list(wanted))
        found = torch.tensor(centroids, dtype=torch.float32).view(-1, 2).flip(1)
        keypoints.append(found.to(heatmaps.device))
    return keypoints


def nearest_cells(keypoints: Tensor) -> Tensor:
    """Return the whole cells (K, 2), int64, nearest to keypoints (K, 2) in cells; halves are rounded up."""
    return (keypoints + 0.5).floor().long()
