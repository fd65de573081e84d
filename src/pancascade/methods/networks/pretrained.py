"""Published weights of encoders: reading a file of tensors, and whether they fit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pancascade.errors import CheckpointError


def fit_encoder(encoder: nn.Module, weights: Mapping[str, Tensor], *, first: str, path: Path, published: str) -> None:
    """Load published weights, learnt from three channels, into an encoder of any number of input channels.

    An encoder of another number gets the first kernels summed over their channels and shared evenly: its answer to a
    slice that all its channels see is what the published network answers to the slice repeated three times.

    Args:
        encoder: Left as it was if the weights do not fit.
        weights: By the encoder's own names.
        first: Name of the kernels that see the image.
        path: File they were read from, for the error.
        published: Which weights would fit, for the error.

    Raises:
        CheckpointError: They are another network's.
    """
    expected, kernels = encoder.state_dict(), weights.get(first)
    channels = expected[first].shape[1]
    if kernels is not None and kernels.ndim == 4 and kernels.shape[1] == 3 != channels:
        shared = kernels.sum(dim=1, keepdim=True) / channels
        weights = {**weights, first: shared.expand(-1, channels, -1, -1)}
    problem = misfit(weights, expected)
    if problem:
        raise CheckpointError(f"{path}: {problem}; give the weights {published}.")
    encoder.load_state_dict(weights)


def misfit(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """What keeps the weights from fitting, in words; empty if nothing does."""
    # Files older than PyTorch 0.4.1 do not count the batches.
    missing = [name for name in expected if name not in weights and not name.endswith(".num_batches_tracked")]
    foreign = [name for name in weights if name not in expected]
    if missing:
        return f"{missing[0]} is missing{_and_more(missing)}"
    if foreign:
        return f"{foreign[0]} has no place in this encoder{_and_more(foreign)}"
    for name, tensor in expected.items():
        if name in weights and weights[name].shape != tensor.shape:
            return f"{name} has shape {tuple(weights[name].shape)}, expected {tuple(tensor.shape)}"
    return ""


def _and_more(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Named tensors of a file, on the CPU.

    Raises:
        CheckpointError: The file is missing, damaged, or holds anything else.
    """
    try:
        found: Any = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: there is no such file of encoder weights.") from error
    except Exception as error:  # a damaged file can make the readers raise nearly anything
        raise CheckpointError(
            f"{path}: not a readable file of weights ({type(error).__name__}); download it again."
        ) from error
    named = isinstance(found, Mapping) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in found.items()
    )
    if not named:
        raise CheckpointError(f"{path}: holds a {type(found).__name__} that is no state_dict; save model.state_dict().")
    return dict(found)
