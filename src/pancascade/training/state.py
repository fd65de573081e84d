"""State of a run between two epochs, from which a killed run resumes without a difference."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, ValidationError
from torch import Tensor
from torch.optim import Optimizer

from pancascade.errors import CheckpointError
from pancascade.files.documents import first_fault, shortened
from pancascade.methods.cascades import Cascade
from pancascade.methods.checkpoint import load_tensors, save_tensors
from pancascade.settings import Settings

LAST = "last.safetensors"
"""The file that a run resumes from."""


class Epoch(Settings):
    """One line of a run's history.

    Attributes:
        epoch: Number of the epoch, from 1.
        phase: Phase of the recipe.
        losses: Mean of each named loss.
        dice: Validation Dice by label.
        seconds: Duration of the epoch.
    """

    epoch: int = Field(ge=1)
    phase: str
    losses: dict[str, float]
    dice: dict[str, float]
    seconds: float = Field(ge=0)


class LearnedFrom(Settings):
    """Training patients of a data set; see `pancascade.training.provenance`."""

    data_set: str
    split: str | None
    patients: tuple[str, ...]


class Progress(Settings):
    """Progress of a run.

    Attributes:
        epoch: Number of finished epochs.
        step: Number of optimiser steps.
        best: Best validation score so far; -1 without validation.
        best_weights: Digest of the saved best weights; None in states of older versions.
        history: One entry per epoch.
        trained_on: Training patients of the weights.
        recipe: The recipe's settings; None in states of older versions.
    """

    epoch: int = Field(ge=1)
    step: int = Field(ge=0)
    best: float = Field(ge=-1, le=1)
    best_weights: str | None = None
    history: tuple[Epoch, ...]
    trained_on: tuple[LearnedFrom, ...] = ()
    recipe: dict[str, Any] | None = None


def save_state(
    path: Path,
    *,
    cascade: Cascade,
    average: Cascade | None,
    optimisers: Sequence[Optimizer],
    progress: dict[str, Any],
) -> None:
    """Write weights, averaged weights, optimiser moments and progress to one file; a failure leaves no partial file.

    Raises:
        CheckpointError: A weight or moment is not finite.
        OutputError: The folder cannot be written.
    """
    tensors: dict[str, Tensor] = {f"cascade/{k}": v for k, v in cascade.state_dict().items()}
    if average is not None:
        tensors |= {f"average/{k}": v for k, v in average.state_dict().items()}
    for number, optimiser in enumerate(optimisers):
        for index, moments in optimiser.state_dict()["state"].items():
            for name, value in moments.items():
                if value is not None:
                    tensors[f"{_moments_of(number)}/{index}/{name}"] = torch.as_tensor(value)
    save_tensors(path, tensors, header=progress)


def _moments_of(number: int) -> str:
    """Return the key of an optimiser's moments; the first optimiser has the key of states with a single one."""
    return "optimiser" if number == 0 else f"optimiser{number + 1}"


def read_state(path: Path) -> tuple[dict[str, Tensor], Progress]:
    """Read tensors and progress written by `save_state`.

    Raises:
        CheckpointError: The file is missing, damaged, or no state of a run.
    """
    tensors, header = load_tensors(path)
    try:
        progress = Progress.model_validate(header)
    except ValidationError as error:
        raise CheckpointError(
            f"{path.name}: holds no usable state of a run ({shortened(first_fault(error), 90)}). "
            "Choose another --out folder."
        ) from error
    if len(progress.history) != progress.epoch:
        raise CheckpointError(
            f"{path.name}: damaged, {progress.epoch} epochs with a history of {len(progress.history)}. "
            "Choose another --out folder."
        )
    return tensors, progress


def restore_state(
    path: Path,
    tensors: dict[str, Tensor],
    *,
    cascade: Cascade,
    average: Cascade | None,
    optimisers: Sequence[Optimizer],
) -> None:
    """Load the tensors of a state into the given objects.

    Args:
        path: File of the tensors, for messages.
        tensors: Tensors from `read_state`.
        cascade: The trained weights.
        average: Their running average, if any.
        optimisers: Their moments are replaced.

    Raises:
        CheckpointError: The tensors do not fit: they belong to another recipe or are damaged.
    """
    places = [_moments_of(number) for number in range(len(optimisers))]
    parts: dict[str, dict[str, Tensor]] = {part: {} for part in ("cascade", "average", *places)}
    for name, tensor in tensors.items():
        part, _, key = name.partition("/")
        if part not in parts:
            raise CheckpointError(f"{path.name}: holds no state of a run. Choose another --out folder.")
        parts[part][key] = tensor
    try:
        if (average is None) != (not parts["average"]):
            raise ValueError("averaged weights only in one of them")
        # torch accepts a missing num_batches_tracked, and would count from 0.
        if parts["cascade"].keys() != cascade.state_dict().keys():
            raise ValueError("other weights")
        cascade.load_state_dict(parts["cascade"])
        if average is not None:
            if parts["average"].keys() != parts["cascade"].keys():
                raise ValueError("other averaged weights")
            average.load_state_dict(parts["average"])
        for place, optimiser in zip(places, optimisers, strict=True):
            _restore_moments(optimiser, parts[place])
    except (RuntimeError, ValueError) as error:
        lines = str(error).splitlines()
        why = shortened(lines[1 if lines[1:] else 0], 90)
        raise CheckpointError(
            f"{path.name}: belongs to another recipe, or is damaged ({why}). Choose another --out folder."
        ) from error


def _restore_moments(optimiser: Optimizer, found: dict[str, Tensor]) -> None:
    """Restore an optimiser's moments, if they belong to the same algorithm and parameters."""
    moments: dict[int, dict[str, Any]] = {}
    for key, tensor in found.items():
        number, _, name = key.partition("/")
        if not number.isascii() or not number.isdigit():
            raise ValueError(f"a moment called {key}")
        moments.setdefault(int(number), {})[name] = tensor
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    names = {"momentum_buffer"} if isinstance(optimiser, torch.optim.SGD) else {"step", "exp_avg", "exp_avg_sq"}
    for index, values in moments.items():
        if index >= len(parameters) or values.keys() != names:
            raise ValueError(f"moments of another optimiser: {index}/{', '.join(sorted(values))}")
        for name, value in values.items():
            if value.shape != (() if name == "step" else parameters[index].shape):
                raise ValueError(f"a moment of another shape: {index}/{name}")
    optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
