"""Weights with all that is needed to use them: safetensors, and JSON in its header. Never pickle."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pancascade.cascades import Cascade, CascadeSettings, build_cascade, fast_layout
from pancascade.errors import CheckpointError
from pancascade.io import written_whole
from pancascade.networks import NetworkSettings
from pancascade.preprocessing import CanvasOrGrid
from pancascade.settings import Settings

HEADER = "pancascade"

TRAINED_ON = "trained_on"
"""Key of a description's training: patients' marks by data set. Older checkpoints do not have it."""


class ModelDescription(Settings):
    """What a checkpoint's weights are for.

    Attributes:
        cascade: The cascade that they fit.
        canvas: How slices reach it, or volumes.
        versions: Of pancascade and torch when they were written.
        training: Recipe, epoch, validation numbers, and whom the weights were trained on.
    """

    format: Literal[1] = 1
    cascade: CascadeSettings
    canvas: CanvasOrGrid
    versions: dict[str, str] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)


def describe(cascade: CascadeSettings, canvas: CanvasOrGrid, **training: Any) -> ModelDescription:
    """Description of freshly trained weights, with the networks' presets written out."""
    networks = {
        name: value.resolved()
        for name in type(cascade).model_fields
        if isinstance(value := getattr(cascade, name), NetworkSettings)
    }
    return ModelDescription(
        cascade=cascade.model_copy(update=networks), canvas=canvas, versions=current_versions(), training=training
    )


def current_versions() -> dict[str, str]:
    """Versions that a result depends on."""
    return {name: version(name) for name in ("pancascade", "torch", "numpy")}


def save_tensors(path: Path, tensors: dict[str, Tensor], *, header: dict[str, Any]) -> None:
    """Write tensors and a JSON header to one safetensors file, whole or not at all.

    Raises:
        OutputError: The folder cannot be written.
    """
    stored = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with written_whole(path) as temporary:
        save_file(stored, temporary, metadata={HEADER: json.dumps(header)})


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header of a file that `save_tensors` wrote.

    Raises:
        CheckpointError: The file is missing, damaged, or not ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[HEADER])
            return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: not a readable pancascade checkpoint ({error}). Copy it again.") from error


def read_training(path: Path) -> dict[str, Any]:
    """What a checkpoint tells of its training; its weights are not read.

    Raises:
        CheckpointError: The file is missing, damaged, or not ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return dict(json.loads((file.metadata() or {})[HEADER]).get("training", {}))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: not a readable pancascade checkpoint ({error}). Copy it again.") from error


def save_checkpoint(
    path: Path, cascade: Cascade, *, description: ModelDescription, half_precision: bool = False
) -> None:
    """Write a cascade's weights and description.

    Args:
        path: Where; by convention ``*.safetensors``.
        cascade: The cascade.
        description: What it is.
        half_precision: Store weights as float16, for shipping; statistics of normalisations, which may exceed it, stay.

    Raises:
        OutputError: The folder cannot be written.
    """
    weights = cascade.state_dict()
    if half_precision:
        weights = {k: v.half() if v.is_floating_point() and "running_" not in k else v for k, v in weights.items()}
    save_tensors(path, weights, header=description.model_dump(mode="json"))


def load_weights(cascade: Cascade, path: Path) -> None:
    """Load a checkpoint's weights into a cascade of the same layout.

    Raises:
        CheckpointError: The file is missing, damaged, or its weights fit another cascade.
    """
    weights, _ = load_tensors(path)
    try:
        cascade.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in weights.items()})
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its weights do not fit this cascade ({_short(error)}).") from error


def join_checkpoints(parts: Mapping[str, Path], out: Path) -> None:
    """One checkpoint whose stages were trained in runs of their own.

    Args:
        parts: Checkpoint by name of the stage that is taken from it, such as ``first`` and ``second``. All are of one
            cascade; what no name covers comes from the first of them.
        out: Checkpoint to write.

    Raises:
        CheckpointError: A file is damaged, of another cascade or canvas, or has no stage of that name.
        OutputError: The folder cannot be written.
    """
    base = next(iter(parts.values()))
    cascade, description = load_checkpoint(base)
    weights = dict(cascade.state_dict())
    trained_on = list(description.training.get(TRAINED_ON, []))
    for name, path in parts.items():
        part, theirs = load_checkpoint(path)
        if (theirs.cascade, theirs.canvas) != (description.cascade, description.canvas):
            raise CheckpointError(f"{path}: of another cascade or canvas than {base}. Train both by one recipe.")
        stage = {key: value for key, value in part.state_dict().items() if key.startswith(f"{name}.")}
        if not stage:
            known = ", ".join(child for child, _ in part.named_children())
            raise CheckpointError(f"{path}: has no stage {name!r}; it has {known}.")
        weights |= stage
        trained_on += [record for record in theirs.training.get(TRAINED_ON, []) if record not in trained_on]
    cascade.load_state_dict(weights)
    training: dict[str, Any] = {"joined": {name: path.name for name, path in parts.items()}}
    if trained_on:
        training[TRAINED_ON] = trained_on
    save_checkpoint(out, cascade, description=describe(description.cascade, description.canvas, **training))


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def load_checkpoint(path: Path) -> tuple[Cascade, ModelDescription]:
    """A cascade with its weights, float32, in evaluation mode, on the CPU.

    Raises:
        CheckpointError: The file is missing, damaged, or its weights fit another cascade.
    """
    _, header = load_tensors(path)
    try:
        description = ModelDescription.model_validate(header)
    except ValidationError as error:
        raise CheckpointError(f"{path}: its description is of another version ({_short(error)}).") from error
    cascade = build_cascade(description.cascade)
    load_weights(cascade, path)
    return fast_layout(cascade.eval()), description
