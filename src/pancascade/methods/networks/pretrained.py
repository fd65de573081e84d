"""Published weights of encoders: reading a file of tensors, and loading those that fit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pancascade.errors import CheckpointError


def fit_encoder(encoder: nn.Module, weights: Mapping[str, Tensor], *, first: str, path: Path, published: str) -> None:
    """Load published three-channel weights into an encoder of any number of input channels.

    For another number of channels, the first kernels are summed over their channels and divided evenly. The encoder's
    output for a slice in all its channels then equals the published network's for the slice repeated three times.

    Args:
        encoder: Unchanged if the weights do not fit.
        weights: Tensors by the encoder's parameter names.
        first: Name of the first convolution's kernels.
        path: File of the weights, for the error.
        published: Description of weights that fit, for the error.

    Raises:
        CheckpointError: The weights belong to another network.
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
    """Return why the weights do not fit, in words; empty if they fit."""
    # Files older than PyTorch 0.4.1 have no num_batches_tracked.
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
    """Read the named tensors of a file, on the CPU.

    Raises:
        CheckpointError: The file is missing, damaged, or holds something else.
    """
    try:
        found: Any = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: there is no such file of encoder weights.") from error
    except Exception as error:  # a damaged file may raise any exception
        raise CheckpointError(
            f"{path}: not a readable file of weights ({type(error).__name__}); download it again."
        ) from error
    named = isinstance(found, Mapping) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in found.items()
    )
    if not named:
        raise CheckpointError(f"{path}: holds a {type(found).__name__} that is no state_dict; save model.state_dict().")
    return dict(found)
