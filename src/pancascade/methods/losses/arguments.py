"""Checks of the two arguments of overlap losses: equal shape, one channel, full precision."""

import torch
from torch import Tensor


def full_precision(tensor: Tensor) -> Tensor:
    """Return a float64 tensor unchanged, any other (bf16, half, integer, bool) as float32."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def matched(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Check the shapes of prediction and target, and return both in full precision.

    Args:
        prediction: Logits or probabilities, (B, 1, *S).
        target: Binary reference, (B, 1, *S), of any dtype.

    Returns:
        Both in the full-precision dtype of the prediction.

    Raises:
        ValueError: The shapes differ, or are not (B, 1, *S) with at least one spatial axis.
    """
    if prediction.shape != target.shape:
        raise ValueError(f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} differ in shape")
    if prediction.ndim < 3 or prediction.shape[1] != 1:
        raise ValueError(f"expected prediction and target of shape (B, 1, *S), got {tuple(prediction.shape)}")
    prediction = full_precision(prediction)
    return prediction, target.to(prediction.dtype)
