"""Checkpoints: weights and their description, as safetensors with JSON in the header. Never pickle."""

import json
import os
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import Field, ValidationError, model_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pancascade.errors import CheckpointError, RecipeError
from pancascade.files.atomic import written_whole
from pancascade.files.documents import first_fault, parse_json, shortened
from pancascade.imaging.preprocessing import CanvasOrGrid
from pancascade.methods.cascades import Cascade, CascadeSettings, build_cascade, fast_layout
from pancascade.methods.cascades.channels import require_channels
from pancascade.methods.cascades.earlier_variants import with_earlier_variants
from pancascade.methods.networks import NetworkSettings
from pancascade.methods.weights_file import (
    DIGEST,
    HEADER,
    StoredTensor,
    damaged,
    digest_of,
    not_finite,
    read_header,
    refuse_state,
    unreadable,
)
from pancascade.settings import Settings


class ModelDescription(Settings):
    """Description of a checkpoint's weights.

    Attributes:
        cascade: Settings of the cascade that the weights fit.
        canvas: Preparation of its slices or volumes.
        versions: Versions of pancascade, torch and numpy at the time of writing.
        training: Recipe, epoch, validation results, and marks of the training patients.
    """

    format: Literal[1] = 1
    cascade: CascadeSettings
    canvas: CanvasOrGrid
    versions: dict[str, str] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _networks_take_the_canvas_s_channels(self) -> Self:
        require_channels(self.cascade, self.canvas)
        return self


def describe(cascade: CascadeSettings, canvas: CanvasOrGrid, **training: Any) -> ModelDescription:
    """Return the description of newly trained weights, with the networks' presets written out."""
    networks = {
        name: value.resolved()
        for name in type(cascade).model_fields
        if isinstance(value := getattr(cascade, name), NetworkSettings)
    }
    return ModelDescription(
        cascade=cascade.model_copy(update=networks), canvas=canvas, versions=current_versions(), training=training
    )


def current_versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    return {name: version(name) for name in ("pancascade", "torch", "numpy")}


def save_tensors(path: Path, tensors: dict[str, Tensor], *, header: dict[str, Any]) -> None:
    """Write tensors, a JSON header and their digest to one safetensors file; a failure leaves no partial file.

    Raises:
        CheckpointError: A tensor holds NaN, infinity or complex numbers.
        OutputError: The folder cannot be written.
    """
    stored = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    _require_finite(path, stored)
    text = json.dumps(header)
    with written_whole(path) as temporary:
        try:
            save_file(stored, temporary, metadata={HEADER: text, DIGEST: _digest_of(stored, text)})
        except SafetensorError as error:  # it wraps the system's error number in its text
            number = re.search(r"os error (\d+)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], Any]:
    """Read tensors and header of a file written by `save_tensors`.

    All tensors are finite. If the file has a digest, it is checked for tensors and header.

    Raises:
        CheckpointError: The file is missing, damaged, or no pancascade file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            texts = file.metadata() or {}
            header = parse_json(texts[HEADER])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise unreadable(path, error) from error
    digest = texts.get(DIGEST)
    if digest is not None and digest != _digest_of(tensors, texts[HEADER]):
        raise damaged(path)
    _require_finite(path, tensors)
    return tensors, header


def _digest_of(tensors: Mapping[str, Tensor], header: str) -> str:
    stored = (
        StoredTensor(name, str(one.dtype), tuple(one.shape), one.reshape(-1).view(torch.uint8).numpy().data)
        for name, one in sorted(tensors.items())
    )
    return digest_of(stored, header)


def _require_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.is_complex():
            raise CheckpointError(
                f"{path.name}: {shortened(name, 60)} holds complex numbers, which no network here has. Copy it again."
            )
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise not_finite(path, name)


def save_checkpoint(
    path: Path, cascade: Cascade, *, description: ModelDescription, half_precision: bool = False
) -> None:
    """Write a cascade's weights and description to a checkpoint.

    Args:
        path: File to write, usually ``*.safetensors``.
        cascade: The cascade.
        description: Its description.
        half_precision: Store weights as float16, for shipping; running statistics of normalisations, which may exceed
            its range, stay float32.

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
    weights, header = load_tensors(path)
    refuse_state(path, header)
    _fill(cascade, weights, path)


def _fill(cascade: Cascade, weights: Mapping[str, Tensor], path: Path) -> None:
    # Loading replaces lost counters of normalisations in silence, though such a file is damaged.
    lost = cascade.state_dict().keys() - weights.keys()
    if lost and all(name.endswith(".num_batches_tracked") for name in lost):
        raise CheckpointError(f"{path.name}: {len(lost)} of its tensors are missing. Get the file again.")
    try:
        cascade.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in weights.items()})
    except RuntimeError as error:
        lines = str(error).splitlines()
        raise CheckpointError(
            f"{path.name}: its weights do not fit this cascade ({shortened(lines[1 if lines[1:] else 0], 90)}). "
            "Give weights of the same recipe."
        ) from error


def load_checkpoint(path: Path) -> tuple[Cascade, ModelDescription]:
    """Load a cascade with its weights, float32, in evaluation mode, on the CPU.

    Raises:
        CheckpointError: The file is missing, damaged, or its weights fit another cascade.
    """
    weights, header = load_tensors(path)
    refuse_state(path, header)
    description = _description(path, header)
    try:
        cascade = build_cascade(description.cascade)
    except RecipeError as error:
        raise CheckpointError(f"{path.name}: {shortened(str(error), 140)}") from error
    _fill(cascade, weights, path)
    return fast_layout(cascade.eval()), description


def _description(path: Path, header: Any) -> ModelDescription:
    if isinstance(header, dict) and "cascade" in header:
        header = {**header, "cascade": with_earlier_variants(header["cascade"])}
    try:
        return ModelDescription.model_validate(header)
    except ValidationError as error:
        why = shortened(first_fault(error), 100)
        raise CheckpointError(f"{path.name}: its description is damaged or of another version ({why}).") from error


def count_parameters(path: Path) -> int:
    """Return the number of a checkpoint's trained parameters, before layers are fused for speed.

    Raises:
        CheckpointError: The file is missing, damaged, or its weights fit another cascade.
    """
    return sum(parameter.numel() for parameter in load_checkpoint(path)[0].parameters())


def read_training(path: Path) -> dict[str, Any]:
    """Return a checkpoint's record of its training; its weights are not read.

    Raises:
        CheckpointError: The file is missing, damaged, or no pancascade file.
    """
    header = read_header(path)
    refuse_state(path, header)
    return _description(path, header).training
