"""Find the ONNX files of a checkpoint's networks, and check that they belong to it."""

from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, ValidationError

from pancascade.errors import CheckpointError
from pancascade.files.digests import content_digest
from pancascade.files.documents import first_fault, read_json, reason
from pancascade.methods.weights_file import read_checked_header, refuse_state
from pancascade.settings import Settings

SUFFIX = ".graphs.json"


class GraphFile(Settings):
    """One network of a checkpoint.

    Attributes:
        file: ONNX file beside the checkpoint, whose tensors it uses.
        digest: Digest of its content.
    """

    file: str = Field(pattern=r"^[^/\\]+\.onnx$")
    digest: str


class GraphFiles(Settings):
    """``NAME.graphs.json`` beside ``NAME.safetensors``: the networks of its cascade as ONNX files.

    Attributes:
        weights: Digest of the checkpoint in its header: the ONNX files refer to positions in the checkpoint.
        networks: ONNX files by the network's name in the cascade.
    """

    format: Literal[1] = 1
    weights: str
    networks: dict[str, GraphFile] = Field(min_length=1)


class GraphModel(NamedTuple):
    """A checkpoint that can run without torch.

    Attributes:
        header: Header of the checkpoint, as written by `pancascade.methods.checkpoint.ModelDescription`.
        digest: Digest of its weights.
        networks: ONNX file of each network.
    """

    header: dict[str, Any]
    digest: str
    networks: dict[str, Path]


def graphs_of(checkpoint: Path) -> Path:
    """Return the path of the description of a checkpoint's ONNX files; it may not exist."""
    return checkpoint.with_suffix(SUFFIX)


def has_graphs(checkpoint: Path) -> bool:
    """Return whether a checkpoint has ONNX files beside it."""
    return graphs_of(checkpoint).is_file()


def read_graphs(checkpoint: Path) -> GraphModel:
    """Read a checkpoint's header and its ONNX files' paths, and check that no file was changed.

    Raises:
        CheckpointError: A file is missing or damaged, or belongs to other weights.
    """
    header, digest = read_checked_header(checkpoint)
    refuse_state(checkpoint, header)
    described = _read_description(graphs_of(checkpoint))
    if described.weights != digest:
        raise CheckpointError(
            f"{graphs_of(checkpoint).name}: belongs to other weights than {checkpoint.name}. Write both again with "
            "`pancascade export --format pancascade`."
        )
    networks = {name: checkpoint.parent / one.file for name, one in described.networks.items()}
    for name, path in networks.items():
        _require_digest(path, described.networks[name].digest)
    return GraphModel(header, digest, networks)


def _read_description(path: Path) -> GraphFiles:
    try:
        return GraphFiles.model_validate(read_json(path))
    except ValidationError as error:
        raise CheckpointError(f"{path.name}: not a list of networks ({first_fault(error)}). Copy it again.") from error
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path.name}: cannot be read ({reason(error)}). Copy it again.") from error


def _require_digest(path: Path, wanted: str) -> None:
    if not path.is_file():
        raise CheckpointError(f"{path.name}: there is no such file. Copy all files of the model again.")
    if content_digest(path) != wanted:
        raise CheckpointError(f"{path.name}: damaged, it is not as it was written. Copy it again.")
