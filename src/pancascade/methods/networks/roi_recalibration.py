"""RoI recalibration of L-SNet: differentiable sampling of a box, and its inverse (Eqs. 2–4).

All coordinates are edge coordinates of the image, (x, y): pixel i spans [i, i + 1], its centre is i + ½. In all grids
−1 and 1 are the outer edges of the image (``align_corners=False``).
"""

import torch
from torch import Tensor
from torch.nn import functional


def cell_to_image(cells: Tensor, *, stride: int = 4) -> Tensor:
    """Return the image points of heatmap cells: cell (x, y) ↦ image (4x + 2, 4y + 2).

    Args:
        cells: (..., 2), (x, y), whole or fractional.
        stride: Pixels per cell.

    Returns:
        (..., 2), (x, y) in pixels, edge coordinates.

    Source: L-SNet, §2.1 (center-aligned sampling); methods.md §B1.
    """
    return stride * (cells + 0.5)


def box_corners(keypoints: Tensor, distances: Tensor) -> Tensor:
    """Return the corners of boxes from keypoints and their distances to the edges.

    Args:
        keypoints: (..., 2), (x, y) in pixels.
        distances: (..., 4), to the left, top, right and bottom edge, in pixels.

    Returns:
        (..., 4): x₁, y₁, x₂, y₂ in pixels; with gradient to the distances, and to the keypoints if they require it.

    Source: L-SNet, §2.1.
    """
    return torch.cat((keypoints - distances[..., :2], keypoints + distances[..., 2:]), dim=-1)


def recalibration_theta(keypoints: Tensor, distances: Tensor, *, size: tuple[int, int], margin: float = 15.0) -> Tensor:
    """Return affine maps from recalibrated regions to the image.

    θ = [[w/W, 0, (2x + r − l)/W − 1], [0, h/H, (2y + b − t)/H − 1]] with w = l + r + 2m, h = t + b + 2m.
    The box may reach beyond the image, where values are zero.

    Args:
        keypoints: (N, 2), (x, y) in pixels of the image; detached, so that only the distances get a gradient.
        distances: (N, 4), to the left, top, right and bottom edge, in pixels.
        size: Height and width of the image.
        margin: m, pixels around the box.

    Returns:
        (N, 2, 3), float32 at least.

    Raises:
        ValueError: keypoints is not (N, 2), or distances not (N, 4).

    Source: L-SNet, Eqs. 2–3; methods.md §B1.
    """
    if keypoints.ndim != 2 or keypoints.shape[1] != 2 or distances.shape != (len(keypoints), 4):
        raise ValueError(
            f"expected keypoints (N, 2) and distances (N, 4), got {tuple(keypoints.shape)} and {tuple(distances.shape)}"
        )
    height, width = size
    distances = _at_least_float32(distances)
    x, y = keypoints.detach().to(distances.dtype).unbind(dim=1)
    left, top, right, bottom = distances.unbind(dim=1)
    zero = torch.zeros_like(x)
    first = ((left + right + 2 * margin) / width, zero, (2 * x + right - left) / width - 1)
    second = (zero, (top + bottom + 2 * margin) / height, (2 * y + bottom - top) / height - 1)
    return torch.stack((*first, *second), dim=1).view(-1, 2, 3)


def inverse_theta(theta: Tensor, *, epsilon: float = 1e-6) -> Tensor:
    """Return affine maps from the image to recalibrated regions: θ⁻¹ = [[1/(s + ε), 0, −t/(s + ε)], …].

    Args:
        theta: (N, 2, 3), scaling and translation only.
        epsilon: Keeps the inverse of an empty box finite.

    Source: L-SNet, Eq. 4.
    """
    scale = 1 / (torch.diagonal(theta[:, :, :2], dim1=1, dim2=2) + epsilon)
    return torch.cat((torch.diag_embed(scale), (-theta[:, :, 2] * scale)[..., None]), dim=2)


def recalibrate(images: Tensor, theta: Tensor, size: tuple[int, int]) -> Tensor:
    """Sample the regions of images at one size; bilinear, zero beyond the image.

    Args:
        images: (N, C, H, W), one for each region.
        theta: (N, 2, 3), from `recalibration_theta`.
        size: Height and width of the result; for L-SNet the size of the image.

    Returns:
        (N, C, *size), float32 at least, also under autocast; differentiable in the images and in theta.

    Raises:
        ValueError: There is no region at all (N = 0).

    Source: L-SNet, §2.2, Eq. 2.
    """
    images, theta = _at_least_float32(images), _at_least_float32(theta)
    dtype = torch.promote_types(images.dtype, theta.dtype)
    # affine_grid is a matrix product, which autocast would round to bf16: an error of half a pixel at 256.
    with torch.autocast(theta.device.type, enabled=False):
        grid = functional.affine_grid(theta.to(dtype), [len(theta), images.shape[1], *size], align_corners=False)
        return functional.grid_sample(
            images.to(dtype), grid, mode="bilinear", padding_mode="zeros", align_corners=False
        )


def place_back(probabilities: Tensor, theta: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the probabilities of recalibrated regions at their position in the image; zero outside.

    Args:
        probabilities: (N, C, h, w).
        theta: (N, 2, 3), the maps of the recalibration (not their inverses).
        size: Height and width of the image.

    Returns:
        (N, C, *size), float32 at least.

    Source: L-SNet, §2.4, Eq. 4.
    """
    return recalibrate(probabilities, inverse_theta(_at_least_float32(theta)), size)


def scale_gradient(values: Tensor, gamma: float) -> Tensor:
    """Return the values with their gradient multiplied by the decay factor γ: z ← γz + (1 − γ) stopgrad(z).

    Computed as stopgrad(z) + γ (z − stopgrad(z)), which is equal and keeps the values exact.

    Args:
        values: z, of any shape.
        gamma: Decay factor γ in [0, 1]; 0 switches off S-Net's supervision of L-Net.

    Raises:
        ValueError: γ lies outside [0, 1].

    Source: L-SNet, §2.5; methods.md §B3.
    """
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma must lie in [0, 1], got {gamma}")
    constant = values.detach()
    return constant + gamma * (values - constant)


def _at_least_float32(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()
