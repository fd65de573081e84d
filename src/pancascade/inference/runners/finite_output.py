"""Refuse NaN and infinity in a network's output: damaged weights or an overflow would give an empty mask."""

import math
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pancascade.errors import CheckpointError

Answer = TypeVar("Answer", bound=NDArray[np.floating[Any]])


def require_finite(answer: Answer, *, stage: int) -> Answer:
    """Return the output if all its values are finite.

    Args:
        answer: Probabilities of any shape.
        stage: Number of the stage, for the message.

    Raises:
        CheckpointError: The output holds NaN or infinity.
    """
    # The sum finds NaN and infinity as well as a test of each value does, and several times as fast.
    if not math.isfinite(float(answer.sum(dtype=np.float32))):
        raise CheckpointError(
            f"Stage {stage} of the model returns NaN or infinity: its weights are damaged, or overflow. "
            "Copy the model again, or try --backend torch."
        )
    return answer
