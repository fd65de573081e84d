"""What every overlap-like loss asks of its two arguments: one shape, one channel, full precision."""

import torch
from torch import Tensor


def full_precision(tensor: Tensor) -> Tensor:
    """The tensor in float64 if it is so already, in float32 otherwise (bf16, half, integer, bool)."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def matched(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Check that prediction and target are alike, and give both in full precision.

    Args:
        prediction: Logits or probabilities, (B, 1, *S).
        target: Binary reference, (B, 1, *S), of any dtype.

    Returns:
        Both in the full precision of the prediction.

    Raises:
        ValueError: The shapes differ, or are not (B, 1, *S) with at least one spatial axis.
    """
    if prediction.shape != target.shape:
        raise ValueError(f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} differ in shape")
    if prediction.ndim < 3 or prediction.shape[1] != 1:
        raise ValueError(f"expected prediction and target of shape (B, 1, *S), got {tuple(prediction.shape)}")
    prediction = full_precision(prediction)
    return prediction, target.to(prediction.dtype)
