"""A model's cascades on a device, by the fastest engine there is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pancascade.checkpoint import TRAINED_ON, load_checkpoint
from pancascade.engines.devices import find_device
from pancascade.engines.openvino_networks import Backend, accelerated, engine_name
from pancascade.errors import PancascadeError
from pancascade.external.kinds import load_external
from pancascade.inference.additions import ALL, Additions
from pancascade.inference.engine import VIEW_SCALES, SliceEngine
from pancascade.inference.external_engine import ExternalEngine
from pancascade.inference.models import Model, Step, find_model, require_cascades, with_pancreas_model
from pancascade.inference.volume_engine import VolumeEngine
from pancascade.labels import Label
from pancascade.memory_shortage import is_memory_shortage
from pancascade.notices import Notice
from pancascade.preprocessing import VolumeGrid

Engine = SliceEngine | VolumeEngine
"""A cascade on a device, for slices or for volumes."""

StepEngine = Engine | ExternalEngine
"""What carries out a step of a model."""


def labels_of(engine: StepEngine) -> tuple[Label, ...]:
    """What a step finds."""
    return engine.network.labels if isinstance(engine, ExternalEngine) else engine.cascade.labels


def runner_of(engine: StepEngine) -> str:
    """What ran a step, known only after it ran."""
    if isinstance(engine, ExternalEngine):
        return engine.network.runs_on
    return engine_name(engine.cascade, engine.device)


@dataclass(frozen=True)
class Member:
    """A model with its cascades, ready to run.

    Attributes:
        model: The model.
        engines: One a step.
        additions: Which of `segment`'s additions are on.
    """

    model: Model
    engines: tuple[StepEngine, ...]
    additions: Additions = ALL

    def with_additions(self, additions: Additions) -> "Member":
        """The same with other additions."""
        engines = tuple(replace(engine, additions=additions) for engine in self.engines)
        return replace(self, engines=engines, additions=additions)

    def for_axes(self, stored_axes: str) -> "Member":
        """The same for a scan whose file has axes that point there, such as LAS."""
        engines = tuple(
            replace(engine, stored_axes=stored_axes) if isinstance(engine, ExternalEngine) else engine
            for engine in self.engines
        )
        return replace(self, engines=engines)

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What a reader should know of its networks of other programs."""
        return tuple(
            notice for engine in self.engines if isinstance(engine, ExternalEngine) for notice in engine.network.notices
        )

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


def load_members(
    names: str | Sequence[str], device: str, *, backend: Backend = "auto", pancreas_model: str | None = None
) -> list[Member]:
    """Models by name or path, with their cascades and networks.

    Args:
        names: Of them.
        device: Where they run.
        backend: What runs the cascades.
        pancreas_model: That finds the pancreas in their place.

    Raises:
        UnknownModelError: There is no such model.
        PancascadeError: As `load_engines`.
    """
    models = [find_model(name) for name in ([names] if isinstance(names, str) else names)]
    if pancreas_model is not None:
        models = [with_pancreas_model(model, pancreas_model) for model in models]
    return [Member(model, tuple(_load_steps(model, device, backend=backend))) for model in models]


def load_engines(model: Model, device: str, *, backend: Backend = "auto") -> list[Engine]:
    """The cascades of a model's steps, on a device.

    Raises:
        UnknownModelError: A step is a network of another program.
        PancascadeError: The device cannot be used, or OpenVINO is asked for and not there.
        CheckpointError: Weights are missing or damaged.
    """
    require_cascades(model)
    steps = _load_steps(model, device, backend=backend)
    return [engine for engine in steps if not isinstance(engine, ExternalEngine)]


def _load_steps(model: Model, device: str, *, backend: Backend) -> list[StepEngine]:
    try:
        chosen = find_device(device)
        return [_load_step(model, step, chosen, backend=backend) for step in model.steps]
    except (RuntimeError, AssertionError) as error:
        if is_memory_shortage(error):
            raise
        raise PancascadeError(f"Device {device!r} cannot be used ({str(error).splitlines()[0]}). Try cpu.") from error


def _load_step(model: Model, step: Step, device: torch.device, *, backend: Backend) -> StepEngine:
    weights = model.weights_of(step)
    if step.kind != "cascade":
        network = load_external(step.kind, weights, device=str(device), orientation=step.orientation)
        return ExternalEngine(network, device)
    return load_engine(
        weights,
        device,
        consistent=step.consistent,
        rescue=step.rescue and step.field == "scan" and step.locator == "own",
        backend=backend,
    )


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
