"""Which ONNX files a checkpoint's networks are, and whether they are its own."""

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
    """One network.

    Attributes:
        file: ONNX, beside the checkpoint, whose tensors it points at.
        digest: Of its content.
    """

    file: str = Field(pattern=r"^[^/\\]+\.onnx$")
    digest: str


class GraphFiles(Settings):
    """``NAME.graphs.json`` beside ``NAME.safetensors``: the networks of its cascade as ONNX files.

    Attributes:
        weights: Digest of the checkpoint, as it stands in its header: the files point at places in it.
        networks: By their name in the cascade.
    """

    format: Literal[1] = 1
    weights: str
    networks: dict[str, GraphFile] = Field(min_length=1)


class GraphModel(NamedTuple):
    """A checkpoint that runs without torch.

    Attributes:
        header: Of the checkpoint, as `pancascade.methods.checkpoint.ModelDescription` writes it.
        digest: Of its weights.
        networks: ONNX file of each network.
    """

    header: dict[str, Any]
    digest: str
    networks: dict[str, Path]


def graphs_of(checkpoint: Path) -> Path:
    """Where the description of a checkpoint's ONNX files lies, if there is one."""
    return checkpoint.with_suffix(SUFFIX)


def has_graphs(checkpoint: Path) -> bool:
    """Whether a checkpoint has ONNX files beside it."""
    return graphs_of(checkpoint).is_file()


def read_graphs(checkpoint: Path) -> GraphModel:
    """A checkpoint and its ONNX files, all found to be as they were written.

    Raises:
        CheckpointError: One is missing or damaged, or they are of other weights.
    """
    header, digest = read_checked_header(checkpoint)
    refuse_state(checkpoint, header)
    described = _read_description(graphs_of(checkpoint))
    if described.weights != digest:
        raise CheckpointError(
            f"{graphs_of(checkpoint).name}: of other weights than {checkpoint.name}. Write both again with "
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
