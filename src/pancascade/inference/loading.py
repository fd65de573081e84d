"""A model's cascades on a device, by the fastest engine there is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pancascade.checkpoint import TRAINED_ON, load_checkpoint
from pancascade.engines.devices import find_device
from pancascade.engines.openvino_networks import Backend, accelerated
from pancascade.errors import PancascadeError
from pancascade.inference.additions import ALL, Additions
from pancascade.inference.engine import VIEW_SCALES, SliceEngine
from pancascade.inference.models import Model, find_model
from pancascade.inference.volume_engine import VolumeEngine
from pancascade.memory_shortage import is_memory_shortage
from pancascade.preprocessing import VolumeGrid

Engine = SliceEngine | VolumeEngine
"""A cascade on a device, for slices or for volumes."""


@dataclass(frozen=True)
class Member:
    """A model with its cascades, ready to run.

    Attributes:
        model: The model.
        engines: One a step.
        additions: Which of `segment`'s additions are on.
    """

    model: Model
    engines: tuple[Engine, ...]
    additions: Additions = ALL

    def with_additions(self, additions: Additions) -> "Member":
        """The same with other additions."""
        engines = tuple(replace(engine, additions=additions) for engine in self.engines)
        return replace(self, engines=engines, additions=additions)

    def views(self, pixel_mm: float) -> "list[Member]":
        """Itself at the pixel sizes of test-time augmentation; 3-D cascades see every view alike.

        Args:
            pixel_mm: Of the scan.
        """
        seen = [
            engine.views(pixel_mm) if isinstance(engine, SliceEngine) else [engine] * len(VIEW_SCALES)
            for engine in self.engines
        ]
        return [replace(self, engines=view) for view in zip(*seen, strict=True)]


def load_members(names: str | Sequence[str], device: str, *, backend: Backend = "auto") -> list[Member]:
    """Models by name or path, with their cascades.

    Raises:
        UnknownModelError: There is no such model.
        PancascadeError: As `load_engines`.
    """
    models = [find_model(name) for name in ([names] if isinstance(names, str) else names)]
    return [Member(model, tuple(load_engines(model, device, backend=backend))) for model in models]


def load_engines(model: Model, device: str, *, backend: Backend = "auto") -> list[Engine]:
    """The cascades of a model's steps, on a device.

    Raises:
        PancascadeError: The device cannot be used, or OpenVINO is asked for and not there.
        CheckpointError: Weights are missing or damaged.
    """
    try:
        chosen = find_device(device)
        return [
            load_engine(
                model.weights_of(step),
                chosen,
                consistent=step.consistent,
                rescue=step.rescue and step.field == "scan" and step.locator == "own",
                backend=backend,
            )
            for step in model.steps
        ]
    except (RuntimeError, AssertionError) as error:
        if is_memory_shortage(error):
            raise
        raise PancascadeError(f"Device {device!r} cannot be used ({str(error).splitlines()[0]}). Try cpu.") from error


def load_engine(
    weights: Path,
    device: torch.device,
    *,
    consistent: bool = True,
    rescue: bool = False,
    backend: Backend = "torch",
) -> Engine:
    """A checkpoint's cascade on a device.

    Args:
        weights: The checkpoint.
        device: Where it runs.
        consistent: See `SliceEngine`.
        rescue: See `SliceEngine`.
        backend: What runs its networks.

    Raises:
        CheckpointError: Weights are missing or damaged.
        PancascadeError: OpenVINO is asked for and not there, or not on a CPU.
    """
    cascade, description = load_checkpoint(weights)
    trained_on = tuple(description.training.get(TRAINED_ON, ()))
    cascade = accelerated(cascade.to(device), device, backend=backend)[0]
    if isinstance(description.canvas, VolumeGrid):
        return VolumeEngine(cascade, description.canvas, device, trained_on, rescue)
    return SliceEngine(cascade, description.canvas, device, consistent, trained_on, rescue)


def trained_on(members: Sequence[Member]) -> tuple[dict[str, Any], ...]:
    """Whom any of the cascades has learned from; those of one model often share a record."""
    records = [record.model_dump(mode="json") for member in members for record in member.model.trained_on]
    records += [record for member in members for engine in member.engines for record in engine.trained_on]
    return tuple(record for place, record in enumerate(records) if record not in records[:place])
