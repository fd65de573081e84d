"""Memory layout of tensors."""

from typing import TypeVar

import torch
from torch import Tensor, nn

Layable = TypeVar("Layable", bound=Tensor | nn.Module)


def fast_layout(thing: Layable) -> Layable:
    """Return 2-D images (B, C, H, W) or networks in channels-last layout, 25 % faster in bfloat16 on a CPU.

    Volumes and 3-D networks keep their layout.
    """
    tensors = [thing] if isinstance(thing, Tensor) else list(thing.parameters())
    if any(tensor.ndim > 4 for tensor in tensors):
        return thing
    laid_out: Layable = thing.to(memory_format=torch.channels_last)  # type: ignore[call-overload,assignment]
    return laid_out
