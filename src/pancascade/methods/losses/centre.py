"""Centre loss: distance of the centres of mass of prediction and reference in each axial slice."""

from typing import Literal, get_args

import torch
from torch import Tensor

from pancascade.methods.losses.arguments import matched
from pancascade.methods.losses.overlap import dice_loss

CentreSchedule = Literal["step", "linear"]
CentreNormaliser = Literal["diagonal", "voxels"]

EPSILON = 1e-6


def soft_dice_loss(probabilities: Tensor, target: Tensor) -> Tensor:
    """Return the Dice loss without smoothing, per sample, then the mean: L = 1 − 2Σyŷ / (Σy + Σŷ).

    Args:
        probabilities: ŷ, (B, 1, *S) in [0, 1].
        target: y, (B, 1, *S), binary. Where it is empty the loss is always 1, without gradient.

    Returns:
        Scalar; NaN if both maps are exactly empty.

    Raises:
        ValueError: The shapes differ, or are not (B, 1, *S).

    Source: Zhao et al. 2019, §2.3 (methods.md §D2).
    """
    return dice_loss(probabilities, target, epsilon=0)


def centre_loss(probabilities: Tensor, target: Tensor, *, normaliser: CentreNormaliser = "diagonal") -> Tensor:
    """Return the squared distance of the centres of mass of axial slices, over a spatial normalisation factor N.

    L = (1/|S⁺|) Σ_{s ∈ S⁺} ‖c_s − ĉ_s‖² / N, with c_s = Σ_p p·y_s(p) / Σ_p y_s(p) of the reference,
    ĉ_s = Σ_p p·ŷ_s(p) / (Σ_p ŷ_s(p) + ε) of the probabilities, and S⁺ the slices with a non-empty reference. Per
    volume, then the mean; a volume with empty reference counts as 0.

    The centre does not depend on the size of the mask, so this loss must be combined with another one. For an empty
    prediction, ε moves the centre to voxel (0, 0).

    Args:
        probabilities: ŷ, (B, 1, H, W, K) in [0, 1], axial slices along K.
        target: y, (B, 1, H, W, K), binary.
        normaliser: N is H² + W², the squared ``diagonal`` of a slice, or H·W·K, the ``voxels`` of the volume.

    Returns:
        Scalar.

    Raises:
        ValueError: The shapes differ, are not (B, 1, H, W, K), or the normaliser is unknown.

    Source: Zhao et al. 2019, §2.3; N is lost, ε is ours (methods.md §D2).
    """
    if normaliser not in get_args(CentreNormaliser):
        known = ", ".join(map(repr, get_args(CentreNormaliser)))
        raise ValueError(f"normaliser must be one of {known}, got {normaliser!r}")
    prediction, reference = matched(probabilities, target)
    if prediction.ndim != 5:
        raise ValueError(f"expected volumes (B, 1, H, W, K), got {tuple(prediction.shape)}")
    height, width, slices = prediction.shape[2:]
    mass, moment = _slice_moments(reference)
    predicted_mass, predicted_moment = _slice_moments(prediction)
    occupied = mass > 0
    centre = moment / torch.where(occupied, mass, 1)
    predicted_centre = predicted_moment / (predicted_mass + EPSILON)
    factor = height**2 + width**2 if normaliser == "diagonal" else height * width * slices
    squared = (centre - predicted_centre).square().sum(dim=0) / factor
    counted = torch.where(occupied, squared, 0)
    return (counted.sum(dim=1) / occupied.sum(dim=1).clamp(min=1)).mean()


def _slice_moments(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return mass (B, K) and first moments (2, B, K), in voxel indices, of the axial slices of maps (B, 1, H, W, K)."""
    by_row, by_column = maps[:, 0].sum(dim=2), maps[:, 0].sum(dim=1)
    moments = [
        (torch.arange(line.shape[1], dtype=maps.dtype, device=maps.device)[:, None] * line).sum(dim=1)
        for line in (by_row, by_column)
    ]
    return by_row.sum(dim=1), torch.stack(moments)


def centre_weight(
    epoch: int, epochs: int, *, initial: float = 1.0, schedule: CentreSchedule = "step", held: int = 50
) -> float:
    """Return the weight λ of the centre loss in an epoch.

    Args:
        epoch: Index of the epoch, from 0.
        epochs: Number of epochs.
        initial: λ₀, the weight in the first epochs.
        schedule: After the first epochs ``step`` is 0; ``linear`` falls evenly to 0 in the last epoch.
        held: Number of epochs with λ₀.

    Returns:
        λ ≥ 0; always λ₀ if there are no more epochs than ``held``.

    Raises:
        ValueError: The epoch is not in 0…epochs − 1.

    Source: Zhao et al. 2019, §2.3; λ₀ is lost and the decay not described (methods.md §D2).
    """
    if not 0 <= epoch < epochs:
        raise ValueError(f"epoch must lie in 0…{epochs - 1}, got {epoch}")
    if epoch < held:
        return initial
    return initial * (epochs - 1 - epoch) / (epochs - held) if schedule == "linear" else 0.0
