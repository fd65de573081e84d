"""Load a cascade from a checkpoint with ONNX files."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from pancascade.errors import CheckpointError
from pancascade.files.documents import first_fault, reason
from pancascade.imaging.preprocessing import Canvas
from pancascade.inference.graphs.graph_cascade import CASCADES, GraphCascade, Networks
from pancascade.inference.graphs.graph_files import GraphModel, read_graphs
from pancascade.inference.graphs.graph_network import GraphBackend, GraphNetwork, graph_network
from pancascade.methods.weights_file import TRAINED_ON


class LoadedGraphs(NamedTuple):
    """A cascade of ONNX files.

    Attributes:
        cascade: The cascade, ready to run.
        canvas: Preparation of slices.
        trained_on: Training data of its weights.
    """

    cascade: GraphCascade
    canvas: Canvas
    trained_on: tuple[dict[str, Any], ...]


def load_graphs(checkpoint: Path, *, backend: GraphBackend) -> LoadedGraphs:
    """Load the cascade of a checkpoint that has ONNX files beside it.

    Args:
        checkpoint: A ``.safetensors`` file.
        backend: Backend that runs its networks.

    Raises:
        CheckpointError: A file is missing or damaged, or belongs to other weights.
    """
    model = read_graphs(checkpoint)
    try:
        canvas = Canvas.model_validate(model.header["canvas"])
        settings = model.header["cascade"]
        cascade = CASCADES[settings["kind"]](settings, _networks(model, backend=backend))
        trained_on = tuple(model.header.get("training", {}).get(TRAINED_ON, ()))
    except ValidationError as error:
        raise _not_described(checkpoint, first_fault(error)) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _not_described(checkpoint, reason(error)) from error
    return LoadedGraphs(cascade, canvas, trained_on)


def _networks(model: GraphModel, *, backend: GraphBackend) -> Networks:
    @cache
    def networks(exact: bool) -> Mapping[str, GraphNetwork]:
        # The saliency network is fast, and its output multiplies the whole image, so it runs in float32.
        return {
            name: graph_network(path, backend=backend, weights=model.digest, exact=exact or name == "saliency")
            for name, path in model.networks.items()
        }

    return networks


def _not_described(checkpoint: Path, why: str) -> CheckpointError:
    return CheckpointError(f"{checkpoint.name}: its description is damaged or of another version ({why}).")
