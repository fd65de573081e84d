"""A learned measure of shared boundary: the optional form "encoder" of the boundary loss."""

import torch
from torch import Tensor, nn

from pancascade.methods.losses.arguments import full_precision
from pancascade.methods.losses.shared_boundary import Neighbourhood, one_hot_maps, shared_boundary_matrix


class SharedBoundaryEncoder(nn.Module):
    """Small network that predicts the matrix of shared boundaries from soft class maps.

    m̂_ij = σ(w_ij · ln(1 + Σ_pixels f) + b_ij) for i ≠ j, m̂_ii = 0, with local features f ≥ 0 of two
    convolutions. This form fits the measure: logit m_ij = ln ℓ_ij − ln(ℓ_i − ℓ_ij), and lengths are sums of
    local counts. Zero padding marks the image frame.

    Args:
        classes: C.
        width: Channels of the local features.

    Source: after Guo et al., cited by Qiu et al. 2024, §3.3.3; their network is not retrievable, so the
    layout is ours (methods.md §0.4, §A2).
    """

    def __init__(self, classes: int, *, width: int = 32) -> None:
        super().__init__()
        if classes < 2:
            raise ValueError(f"classes must be at least 2, got {classes}")
        self.classes = classes
        self.local = nn.Sequential(
            nn.Conv2d(classes, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 1), nn.ReLU()
        )
        self.head = nn.Linear(width, classes * classes)

    def forward(self, probabilities: Tensor) -> Tensor:
        """Return the matrix (B, C, C) in [0, 1] with zero diagonal of (B, C, H, W), summing to 1 over C."""
        if probabilities.ndim != 4 or probabilities.shape[1] != self.classes:
            raise ValueError(f"expected (B, {self.classes}, H, W), got {tuple(probabilities.shape)}")
        with torch.autocast(probabilities.device.type, enabled=False):
            counts = self.local(full_precision(probabilities)).sum((2, 3))
            shares: Tensor = self.head(counts.log1p()).sigmoid().unflatten(1, (self.classes, self.classes))
            return shares * (1 - torch.eye(self.classes, device=shares.device))


def pretrain_boundary_encoder(
    encoder: SharedBoundaryEncoder,
    label_maps: Tensor,
    *,
    steps: int,
    learning_rate: float,
    seed: int,
    batch_size: int = 16,
    neighbourhood: Neighbourhood = 4,
    count_frame: bool = True,
) -> list[float]:
    """Fit the encoder to the exact matrices of label maps with Adam and the squared error, then freeze it.

    Args:
        encoder: Changed in place; afterwards in evaluation mode with frozen weights.
        label_maps: (N, H, W), integer labels 0 … C−1.
        steps: Optimiser steps.
        learning_rate: Learning rate of Adam.
        seed: Seed of the choice of maps; the caller sets the initial weights.
        batch_size: Label maps per step, drawn with replacement.
        neighbourhood: Neighbourhood of the learned matrix, see shared_boundary_matrix.
        count_frame: Frame of the learned matrix, see shared_boundary_matrix.

    Returns:
        The squared error of each step.

    Raises:
        ValueError: label_maps is not (N, H, W) of integers 0 … C−1 with N of at least 1.
    """
    if label_maps.ndim != 3 or len(label_maps) == 0:
        raise ValueError(f"expected label maps (N, H, W), got {tuple(label_maps.shape)}")
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=learning_rate)
    errors: list[float] = []
    for _ in range(steps):
        chosen = torch.randint(len(label_maps), (batch_size,), generator=generator).to(label_maps.device)
        one_hot = one_hot_maps(label_maps[chosen], encoder.classes)
        exact = shared_boundary_matrix(one_hot, form="product", neighbourhood=neighbourhood, count_frame=count_frame)
        error = ((encoder(one_hot) - exact) ** 2).mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    encoder.eval().requires_grad_(False)
    return errors
