"""The state of a run between two epochs, saved so that a killed run goes on as if nothing had happened."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pancascade.cascades import Cascade
from pancascade.checkpoint import load_tensors, save_tensors
from pancascade.errors import CheckpointError


def save_state(
    path: Path, *, cascade: Cascade, average: Cascade | None, optimiser: Optimizer, progress: dict[str, Any]
) -> None:
    """Write weights, averaged weights, optimiser moments and progress to one file, whole or not at all."""
    tensors: dict[str, Tensor] = {f"cascade/{k}": v for k, v in cascade.state_dict().items()}
    if average is not None:
        tensors |= {f"average/{k}": v for k, v in average.state_dict().items()}
    for index, moments in optimiser.state_dict()["state"].items():
        for name, value in moments.items():
            if value is not None:
                tensors[f"optimiser/{index}/{name}"] = torch.as_tensor(value)
    save_tensors(path, tensors, header=progress)


def restore_state(path: Path, *, cascade: Cascade, average: Cascade | None, optimiser: Optimizer) -> dict[str, Any]:
    """Load what `save_state` wrote into the given objects; returns the progress.

    Raises:
        CheckpointError: The file is missing, damaged, or of another recipe.
    """
    tensors, progress = load_tensors(path)
    parts: dict[str, dict[str, Tensor]] = {"cascade": {}, "average": {}, "optimiser": {}}
    for name, tensor in tensors.items():
        part, _, key = name.partition("/")
        if part not in parts:
            raise CheckpointError(f"{path}: holds no state of a run. Choose another --out folder.")
        parts[part][key] = tensor
    moments: dict[int, dict[str, Any]] = {}
    for key, tensor in parts["optimiser"].items():
        index, name = key.split("/")
        moments.setdefault(int(index), {})[name] = tensor
    try:
        cascade.load_state_dict(parts["cascade"])
        if average is not None:
            average.load_state_dict(parts["average"])
        optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: belongs to another recipe ({str(error).splitlines()[0]}). Use another --out folder."
        ) from error
    return progress
