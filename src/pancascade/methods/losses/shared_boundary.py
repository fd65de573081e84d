"""The differentiable measure of shared boundary between classes, and its loss."""

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from pancascade.methods.losses.arguments import full_precision

MatrixForm = Literal["total_variation", "product", "ste"]
BoundaryForm = Literal["total_variation", "product", "ste", "encoder"]
Neighbourhood = Literal[4, 8]


def shared_boundary_matrix(
    probabilities: Tensor,
    *,
    form: MatrixForm = "total_variation",
    neighbourhood: Neighbourhood = 4,
    count_frame: bool = True,
) -> Tensor:
    """Return the share of each class's perimeter that borders each other class.

    m_ij = ℓ_ij / max(ℓ_i, 1) for i ≠ j, m_ii = 0. Over all pairs E of neighbouring pixels (a, b):

    - "total_variation": u = max(q(a) − q(b), 0), v = max(q(b) − q(a), 0), t = Σ_c u_c = Σ_c v_c,
      ℓ_ij = Σ_E (u_i v_j + v_i u_j) / t, ℓ_i = Σ_E |q_i(a) − q_i(b)| + Σ_frame q_i. Exact for one-hot input,
      differentiable elsewhere; a uniform region contributes nothing.
    - "product": ℓ_ij = Σ_E [q_i(a) q_j(b) + q_j(a) q_i(b)], ℓ_i = Σ_j ℓ_ij + Σ_frame q_i. Exact for one-hot
      input, biased by every residual probability.
    - "ste": straight-through; the one-hot map of the argmax in the product form. Its gradient is passed to the
      probabilities, except for classes that the argmax does not contain.

    Args:
        probabilities: q, (B, C, H, W), summing to 1 over C.
        form: Formula for soft maps.
        neighbourhood: 4 counts pixel sides; 8 also counts corners, with the same weight.
        count_frame: Count pixel sides on the image frame as perimeter; with 8 neighbours, every missing neighbour.

    Returns:
        (B, C, C): entry (i, j) = boundary of i with j / perimeter of i; zero diagonal; zero row if i is
        absent.

    Raises:
        ValueError: probabilities is not 4-D, C < 2, or an option is unknown.

    Source: Qiu et al. 2024, Eqs. 14–15; the soft forms are ours (methods.md §A2).
    """
    _check(probabilities, form, neighbourhood)
    q = full_precision(probabilities)
    with torch.autocast(q.device.type, enabled=False):
        if form == "ste":
            q = _straight_through(q)
        pairs = _neighbour_pairs(q, neighbourhood)
        if form == "total_variation":
            shared = sum((_total_variation(a - b) for a, b in pairs), start=q.new_zeros(()))
            perimeter = sum(((a - b).abs().sum((2, 3)) for a, b in pairs), start=q.new_zeros(()))
        else:
            shared = sum((_product(a, b) for a, b in pairs), start=q.new_zeros(()))
            perimeter = shared.sum(2)
        if count_frame:
            perimeter = perimeter + (q * _missing_neighbours(q, neighbourhood)).sum((2, 3))
        return shared / perimeter.clamp(min=1).unsqueeze(2)


def _total_variation(difference: Tensor) -> Tensor:
    """Return Σ_E (u_i v_j + v_i u_j) / t of the pairs' differences q(a) − q(b): (B, C, H', W') to (B, C, C).

    t is computed as ½ Σ_c |q_c(a) − q_c(b)|, which bounds u/t and v/t, and so the gradient, under rounding.
    """
    d = difference.flatten(2)
    u, v = d.relu(), (-d).relu()
    t = d.abs().sum(1, keepdim=True) / 2
    one_way = u @ (v / torch.where(t > 0, t, 1)).transpose(1, 2)
    return one_way + one_way.transpose(1, 2)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Return Σ_E [q_i(a) q_j(b) + q_j(a) q_i(b)] off the diagonal: two (B, C, H', W') to (B, C, C)."""
    one_way = a.flatten(2) @ b.flatten(2).transpose(1, 2)
    both = one_way + one_way.transpose(1, 2)
    return both * (1 - torch.eye(both.shape[1], dtype=both.dtype, device=both.device))


def _straight_through(q: Tensor) -> Tensor:
    """Return the one-hot map of the argmax with the gradient of q for the classes that it contains."""
    hard = torch.zeros_like(q).scatter_(1, q.argmax(1, keepdim=True), 1)
    held = hard.amax((2, 3), keepdim=True) > 0
    return hard + torch.where(held, q - q.detach(), 0)


def _neighbour_pairs(q: Tensor, neighbourhood: Neighbourhood) -> list[tuple[Tensor, Tensor]]:
    """Return maps (q(a), q(b)) of all neighbouring pixels, one entry per direction, each pair once."""
    straight = [(q[:, :, 1:], q[:, :, :-1]), (q[..., 1:], q[..., :-1])]
    if neighbourhood == 4:
        return straight
    return [*straight, (q[:, :, 1:, 1:], q[:, :, :-1, :-1]), (q[:, :, 1:, :-1], q[:, :, :-1, 1:])]


def _missing_neighbours(q: Tensor, neighbourhood: Neighbourhood) -> Tensor:
    """Return the number of neighbours of each pixel outside the image: (H, W)."""
    rows, columns = (_neighbours_along(length, q) for length in q.shape[2:])
    if neighbourhood == 4:
        return 4 - (rows.unsqueeze(1) + columns)
    return 9 - (rows.unsqueeze(1) + 1) * (columns + 1)


def _neighbours_along(length: int, like: Tensor) -> Tensor:
    """Return the number of neighbours of each pixel along a line: 1, 2, …, 2, 1."""
    i = torch.arange(length, device=like.device)
    return 2 - (i == 0).to(like.dtype) - (i == length - 1).to(like.dtype)


def shared_boundary_loss(
    probabilities: Tensor,
    target_labels: Tensor,
    *,
    form: BoundaryForm = "total_variation",
    neighbourhood: Neighbourhood = 4,
    count_frame: bool = True,
    encoder: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Return the squared difference of the predicted and the reference matrix, mean over the batch.

    L_isb = (1/n_c²) Σ_i Σ_j (m_ij^pred − m_ij^gt)²; the zero diagonal counts in n_c².

    Args:
        probabilities: (B, C, H, W), summing to 1 over C.
        target_labels: (B, H, W), integer labels 0 … C−1; their matrix is exact and carries no gradient.
        form: See shared_boundary_matrix; "encoder" measures the prediction by a pre-trained, frozen network.
        neighbourhood: 4 or 8.
        count_frame: Count the image frame as perimeter.
        encoder: The network for form "encoder".

    Returns:
        Scalar.

    Raises:
        ValueError: Shapes, labels or options do not fit, or the encoder is missing or unexpected.

    Source: Qiu et al. 2024, Eq. 16.
    """
    grid = (probabilities.shape[0], *probabilities.shape[2:])
    if target_labels.shape != grid:
        raise ValueError(
            f"target_labels {tuple(target_labels.shape)} do not lie on the grid of probabilities "
            f"{tuple(probabilities.shape)}"
        )
    if (encoder is None) == (form == "encoder"):
        raise ValueError(f"form {form!r}: give an encoder with form 'encoder', and only then; got {encoder}")
    m_gt = shared_boundary_matrix(
        one_hot_maps(target_labels, probabilities.shape[1]),
        form="product",
        neighbourhood=neighbourhood,
        count_frame=count_frame,
    )
    if encoder is not None:
        m_pred = encoder(probabilities)
    elif form != "encoder":
        m_pred = shared_boundary_matrix(probabilities, form=form, neighbourhood=neighbourhood, count_frame=count_frame)
    return ((m_pred - m_gt) ** 2).mean()


def one_hot_maps(labels: Tensor, classes: int) -> Tensor:
    """Convert integer label maps (B, H, W) to float32 class maps (B, classes, H, W) of zeros and ones.

    Raises:
        ValueError: labels is not (B, H, W) of integers 0 … classes−1.
    """
    if labels.ndim != 3 or labels.is_floating_point() or labels.is_complex():
        raise ValueError(f"expected integer labels (B, H, W), got {labels.dtype} {tuple(labels.shape)}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise ValueError(f"labels must lie in 0 … {classes - 1}, got {low} … {high}")
    maps = torch.zeros((labels.shape[0], classes, *labels.shape[1:]), device=labels.device)
    return maps.scatter_(1, labels.long().unsqueeze(1), 1)


def _check(probabilities: Tensor, form: str, neighbourhood: int) -> None:
    if probabilities.ndim != 4 or probabilities.shape[1] < 2:
        raise ValueError(f"expected probabilities (B, C, H, W) with C of at least 2, got {tuple(probabilities.shape)}")
    if form not in get_args(MatrixForm):
        raise ValueError(f"unknown form {form!r}, choose one of {', '.join(get_args(MatrixForm))}")
    if neighbourhood not in get_args(Neighbourhood):
        raise ValueError(f"neighbourhood must be 4 or 8, got {neighbourhood}")
