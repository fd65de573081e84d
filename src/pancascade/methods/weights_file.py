"""The files of weights, read without torch: safetensors, with JSON in their header and a digest of it all."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from pancascade.errors import CheckpointError
from pancascade.files.documents import parse_json, reason, shortened

HEADER = "pancascade"

DIGEST = "pancascade_digest"
"""Key of the file's second text: `digest_of` its tensors and header. Older checkpoints do not have it."""

TRAINED_ON = "trained_on"
"""Key of a description's training: patients' marks by data set. Older checkpoints do not have it."""


class StoredTensor(NamedTuple):
    """A tensor as its bytes.

    Attributes:
        name: Of it.
        kind: Type of its values as torch writes it, such as ``torch.float16``.
        shape: Of it.
        values: Its bytes.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    values: memoryview


def digest_of(tensors: Iterable[StoredTensor], header: str) -> str:
    """BLAKE2b of names, types, shapes and values, and of the header's text, in 32 hexadecimal digits.

    Args:
        tensors: In the order of their names.
        header: The text.
    """
    digest = hashlib.blake2b(header.encode(), digest_size=16)
    for tensor in tensors:
        digest.update(f"\n{tensor.name} {tensor.kind} {tensor.shape}\n".encode())
        digest.update(tensor.values)
    return digest.hexdigest()


def read_header(path: Path) -> Any:
    """The header of a checkpoint alone; its weights are not read.

    Raises:
        CheckpointError: The file is missing, damaged, or not ours.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            return parse_json((file.metadata() or {})[HEADER])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise unreadable(path, error) from error


def read_checked_header(path: Path) -> tuple[Any, str]:
    """The header and the digest of a checkpoint whose weights were found to be as they were written.

    Raises:
        CheckpointError: The file is missing, damaged, not ours, or without a digest; or a weight is no number.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            texts = file.metadata() or {}
            header = parse_json(texts[HEADER])
            found = digest_of(
                (_stored(path, name, file.get_tensor(name)) for name in sorted(file.keys())), texts[HEADER]
            )
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise unreadable(path, error) from error
    digest = texts.get(DIGEST)
    if digest is None:
        raise CheckpointError(f"{path.name}: of a version without digests. Write it again with `pancascade export`.")
    if digest != found:
        raise damaged(path)
    return header, digest


def _stored(path: Path, name: str, tensor: np.ndarray[Any, np.dtype[Any]]) -> StoredTensor:
    if tensor.dtype.kind == "f" and not bool(np.isfinite(tensor).all()):
        raise not_finite(path, name)
    values = np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data
    return StoredTensor(name, f"torch.{tensor.dtype}", tensor.shape, values)


def damaged(path: Path) -> CheckpointError:
    """What is said of a file whose digest does not fit."""
    return CheckpointError(f"{path.name}: damaged, it is not as it was written. Copy it again.")


def not_finite(path: Path, name: str) -> CheckpointError:
    """What is said of a file whose weights are no numbers."""
    return CheckpointError(
        f"{path.name}: {shortened(name, 60)} holds NaN or infinity, which no network can compute with. "
        "Copy it again, or train again."
    )


def unreadable(path: Path, error: Exception) -> CheckpointError:
    """What is said of a file that cannot be read."""
    if isinstance(error, FileNotFoundError):  # of safetensors, which says no more than its name
        return CheckpointError(f"{path.name}: there is no such file. Check the path.")
    why = "it has no description of ours" if isinstance(error, KeyError) else reason(error)
    return CheckpointError(f"{path.name}: not a readable pancascade checkpoint ({why}). Copy it again.")


def refuse_state(path: Path, header: Any) -> None:
    """Pass only for weights.

    Raises:
        CheckpointError: The file is the state that a training goes on from.
    """
    if is_training_state(header):
        raise CheckpointError(
            f"{path.name}: the state that a training goes on from, not its weights. Give the run's best.safetensors."
        )


def is_training_state(header: Any) -> bool:
    """Whether a file's header is that of a run's ``last.safetensors``."""
    return isinstance(header, dict) and {"epoch", "step", "best", "history"} <= header.keys()
