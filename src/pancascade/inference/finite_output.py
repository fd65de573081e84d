"""What a network answers must be numbers: damaged weights, or an overflow, end in an empty mask otherwise."""

import math

import torch
from torch import Tensor

from pancascade.errors import CheckpointError


def require_finite(answer: Tensor, *, stage: int) -> Tensor:
    """The answer itself, if all of it are numbers.

    Args:
        answer: Probabilities of any shape.
        stage: Of the cascade, for the message.

    Raises:
        CheckpointError: It holds NaN or infinity.
    """
    # A sum is as good as a look at each, and several times as fast.
    if not math.isfinite(float(answer.sum(dtype=torch.float32))):
        raise CheckpointError(
            f"Stage {stage} of the model answers NaN or infinity: its weights are damaged, or overflow. "
            "Copy the model again, or try --engine torch."
        )
    return answer
