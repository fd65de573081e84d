"""What a network answers must be numbers: damaged weights, or an overflow, end in an empty mask otherwise."""

import math
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pancascade.errors import CheckpointError

Answer = TypeVar("Answer", bound=NDArray[np.floating[Any]])


def require_finite(answer: Answer, *, stage: int) -> Answer:
    """The answer itself, if all of it are numbers.

    Args:
        answer: Probabilities of any shape.
        stage: Of the cascade, for the message.

    Raises:
        CheckpointError: It holds NaN or infinity.
    """
    # A sum is as good as a look at each, and several times as fast.
    if not math.isfinite(float(answer.sum(dtype=np.float32))):
        raise CheckpointError(
            f"Stage {stage} of the model answers NaN or infinity: its weights are damaged, or overflow. "
            "Copy the model again, or try --backend torch."
        )
    return answer
