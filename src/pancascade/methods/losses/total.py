"""The loss of the whole cascade."""

from typing import TypeVar

from torch import Tensor

Scalar = TypeVar("Scalar", Tensor, float)


def total_loss(first: Scalar, second: Scalar, boundary: Scalar, *, alpha: float = 0.9, beta: float = 0.4) -> Scalar:
    """Weighted sum of the cascade's three losses: L = L_seg1 + α L_seg2 + β L_isb.

    Args:
        first: L_seg1, of the pancreas in stage 1.
        second: L_seg2, of the tumour in stage 2.
        boundary: L_isb, of the shared boundaries.
        alpha: α.
        beta: β.

    Returns:
        L, a scalar.

    Source: Qiu et al. 2024, Eq. 17.
    """
    return first + alpha * second + beta * boundary
