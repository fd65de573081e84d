"""The loss of the whole cascade."""

from typing import TypeVar

from torch import Tensor

Scalar = TypeVar("Scalar", Tensor, float)


def total_loss(first: Scalar, second: Scalar, boundary: Scalar, *, alpha: float = 0.9, beta: float = 0.4) -> Scalar:
    """Return the weighted sum of the cascade's three losses: L = L_seg1 + α L_seg2 + β L_isb.

    Args:
        first: L_seg1, loss of the pancreas in stage 1.
        second: L_seg2, loss of the tumour in stage 2.
        boundary: L_isb, loss of the shared boundaries.
        alpha: α.
        beta: β.

    Returns:
        L, a scalar.

    Source: Qiu et al. 2024, Eq. 17.
    """
    return first + alpha * second + beta * boundary
