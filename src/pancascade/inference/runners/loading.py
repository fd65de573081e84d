"""Load a model's cascades on a device, with the fastest backend available."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pancascade.errors import PancascadeError
from pancascade.execution.memory_shortage import is_memory_shortage
from pancascade.extras import missing_extra
from pancascade.inference.backends.backend import Backend, torch_available
from pancascade.inference.external.kinds import load_external
from pancascade.inference.graphs.graph_files import has_graphs
from pancascade.inference.graphs.graph_network import graph_backend
from pancascade.inference.graphs.loading import load_graphs
from pancascade.inference.models.additions import ALL, Additions
from pancascade.inference.models.model import Model, Step, find_model, require_cascades, with_pancreas_model
from pancascade.inference.runners.external_runner import ExternalRunner
from pancascade.inference.runners.slice_runner import VIEW_SCALES, SliceRunner
from pancascade.inference.runners.volume_runner import VolumeRunner
from pancascade.labels import Label
from pancascade.messages.notices import Notice

Runner = SliceRunner | VolumeRunner
"""A cascade on a device, for slices or for volumes."""

WRITE = "`pancascade export --format pancascade`."
"""Command that makes a checkpoint run without torch."""

StepRunner = Runner | ExternalRunner
"""Runs one step of a model."""


def labels_of(runner: StepRunner) -> tuple[Label, ...]:
    """Return the labels that a step predicts."""
    return runner.network.labels if isinstance(runner, ExternalRunner) else runner.cascade.labels


def backend_of(runner: StepRunner) -> str:
    """Return what ran a step; known only after it ran."""
    if isinstance(runner, ExternalRunner):
        return runner.network.runs_on
    return runner.cascade.runs_on


@dataclass(frozen=True)
class LoadedModel:
    """A model with its cascades, ready to run.

    Attributes:
        model: The model.
        runners: One for each step.
        additions: Which of `segment`'s additions are on.
    """

    model: Model
    runners: tuple[StepRunner, ...]
    additions: Additions = ALL

    def with_additions(self, additions: Additions) -> "LoadedModel":
        """Return a copy with other additions."""
        runners = tuple(replace(runner, additions=additions) for runner in self.runners)
        return replace(self, runners=runners, additions=additions)

    def for_axes(self, stored_axes: str) -> "LoadedModel":
        """Return a copy for a scan whose file has axes in these directions, such as LAS."""
        runners = tuple(
            replace(runner, stored_axes=stored_axes) if isinstance(runner, ExternalRunner) else runner
            for runner in self.runners
        )
        return replace(self, runners=runners)

    @property
    def notices(self) -> tuple[Notice, ...]:
        """Notices about its networks of other programs."""
        return tuple(
            notice for runner in self.runners if isinstance(runner, ExternalRunner) for notice in runner.network.notices
        )

    def views(self, pixel_mm: float) -> "list[LoadedModel]":
        """Return copies at the pixel sizes of test-time augmentation; 3-D cascades are the same in each.

        Args:
            pixel_mm: Pixel size of the scan.
        """
        seen = [
            runner.views(pixel_mm) if isinstance(runner, SliceRunner) else [runner] * len(VIEW_SCALES)
            for runner in self.runners
        ]
        return [replace(self, runners=view) for view in zip(*seen, strict=True)]


def load_models(
    names: str | Sequence[str], device: str, *, backend: Backend = "auto", pancreas_model: str | None = None
) -> list[LoadedModel]:
    """Load models by name or path, with their cascades and networks.

    Args:
        names: Names or paths of the models.
        device: Where they run, ``cpu`` or ``cuda``.
        backend: What runs the cascades.
        pancreas_model: Model whose steps find the pancreas in place of their own.

    Raises:
        UnknownModelError: There is no such model.
        PancascadeError: See `load_runners`.
    """
    models = [find_model(name) for name in ([names] if isinstance(names, str) else names)]
    if pancreas_model is not None:
        models = [with_pancreas_model(model, pancreas_model) for model in models]
    return [LoadedModel(model, tuple(_load_steps(model, device, backend=backend))) for model in models]


def load_runners(model: Model, device: str, *, backend: Backend = "auto") -> list[Runner]:
    """Load the cascades of a model's steps on a device.

    Raises:
        UnknownModelError: A step is a network of another program.
        PancascadeError: The device cannot be used, or the requested backend is not installed.
        CheckpointError: Weights are missing or damaged.
    """
    require_cascades(model)
    steps = _load_steps(model, device, backend=backend)
    return [runner for runner in steps if not isinstance(runner, ExternalRunner)]


def _load_steps(model: Model, device: str, *, backend: Backend) -> list[StepRunner]:
    try:
        return [_load_step(model, step, device, backend=backend) for step in model.steps]
    except (RuntimeError, AssertionError) as error:
        if is_memory_shortage(error):
            raise
        raise PancascadeError(f"Device {device!r} cannot be used ({str(error).splitlines()[0]}). Try cpu.") from error


def _load_step(model: Model, step: Step, device: str, *, backend: Backend) -> StepRunner:
    weights = model.weights_of(step)
    if step.kind != "cascade":
        _require_device(device)
        return ExternalRunner(load_external(step.kind, weights, device=device, orientation=step.orientation))
    fallback_search = step.fallback_search and step.input == "scan" and step.rois_from == "self"
    by = graph_backend(backend) if device == "cpu" and has_graphs(weights) else None
    if by is not None:
        cascade, canvas, learned_from = load_graphs(weights, backend=by)
        return SliceRunner(cascade, canvas, step.smooth_along_z, learned_from, fallback_search)
    _require_torch(weights, device=device, backend=backend)
    from pancascade.inference.backends.devices import find_device
    from pancascade.inference.runners.torch_runners import load_runner

    return load_runner(
        weights,
        find_device(device),
        smooth_along_z=step.smooth_along_z,
        fallback_search=fallback_search,
        backend=backend,
    )


def _require_torch(weights: Path, *, device: str, backend: Backend) -> None:
    """Refuse weights that need torch if torch is missing, and ONNX Runtime where it cannot run them.

    Raises:
        PancascadeError: Torch is not installed, or ONNX Runtime is requested.
    """
    if backend == "onnxruntime" and not has_graphs(weights):
        raise PancascadeError(
            f"{weights.name}: has no ONNX files beside it. Choose another --backend, or write them: {WRITE}"
        )
    if backend == "onnxruntime" and device != "cpu":
        raise PancascadeError(f"ONNX Runtime runs on the CPU, not on {device}. Use --device cpu, or another --backend.")
    if backend == "onnxruntime":
        raise missing_extra("onnxruntime", what="--backend onnxruntime")
    if not torch_available():
        raise PancascadeError(
            f'{weights.name}: needs torch here. Run pip install "pancascade[train]", or export the model once where '
            f"torch is installed: {WRITE}"
        )


def _require_device(device: str) -> None:
    """Refuse a device that this machine does not have.

    Raises:
        PancascadeError: The device is missing.
    """
    if device != "cpu":
        from pancascade.inference.backends.devices import find_device

        find_device(device)


def trained_on(loaded_models: Sequence[LoadedModel]) -> tuple[dict[str, Any], ...]:
    """Return the training records of the models and their cascades, without repetition."""
    records = [
        record.model_dump(mode="json") for loaded_model in loaded_models for record in loaded_model.model.trained_on
    ]
    records += [
        record for loaded_model in loaded_models for runner in loaded_model.runners for record in runner.trained_on
    ]
    return tuple(record for place, record in enumerate(records) if record not in records[:place])
