"""Initial weights of a run: a checkpoint, or the step of a model that fits the recipe."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from pancascade.errors import CheckpointError, listed
from pancascade.inference.models.known_models import find_model
from pancascade.inference.models.model import Model
from pancascade.methods.checkpoint import load_tensors, read_training
from pancascade.methods.weights_file import TRAINED_ON


@dataclass(frozen=True)
class StartWeights:
    """File of the weights, and their training patients.

    Attributes:
        checkpoint: File of the weights.
        trained_on: Patients' marks by data set, as far as checkpoint or model record them.
    """

    checkpoint: Path
    trained_on: list[dict[str, Any]]


def find_start(name: Path, cascade: nn.Module) -> StartWeights:
    """Return the weights to start from.

    Args:
        name: A checkpoint; or a model, by the name of a shipped one or by its JSON file. Of a model, the first step
            with fitting weights is used.
        cascade: Cascade that the weights must fit.

    Raises:
        CheckpointError: A file is missing or damaged, or no step of the model fits.
        UnknownModelError: The model is unknown, or its description is damaged.
    """
    if name.suffix == ".safetensors" or (name.is_file() and name.suffix != ".json"):
        return StartWeights(name, read_training(name).get(TRAINED_ON, []))
    model = find_model(str(name))
    wanted = {key: value.shape for key, value in cascade.state_dict().items()}
    for step in model.steps:
        checkpoint = model.weights_of(step)
        tensors, _ = load_tensors(checkpoint)
        if {key: value.shape for key, value in tensors.items()} == wanted:
            return StartWeights(checkpoint, _trained_on(model, checkpoint))
    names = listed([Path(step.weights).name for step in model.steps])
    raise CheckpointError(
        f"{model.name}: none of its weights ({names}) fits this recipe's cascade. Give the recipe that they were "
        "trained by, or other weights."
    )


def _trained_on(model: Model, checkpoint: Path) -> list[dict[str, Any]]:
    """Return the training patients in the model's description, else in its checkpoint; shipped ones have no record."""
    reported = [record.model_dump(mode="json") for record in model.trained_on]
    return reported or list(read_training(checkpoint).get(TRAINED_ON, []))
