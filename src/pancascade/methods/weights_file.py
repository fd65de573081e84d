"""Weight files read without torch: safetensors with JSON in the header and a digest."""

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
"""Key of the file's second text: `digest_of` of its tensors and header. Older checkpoints do not have it."""

TRAINED_ON = "trained_on"
"""Key in a description's training: patients' marks by data set. Older checkpoints do not have it."""


class StoredTensor(NamedTuple):
    """A tensor as its bytes.

    Attributes:
        name: Name of the tensor.
        kind: Type of its values in torch's notation, such as ``torch.float16``.
        shape: Shape of the tensor.
        values: Its bytes.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    values: memoryview


def digest_of(tensors: Iterable[StoredTensor], header: str) -> str:
    """Return BLAKE2b of names, types, shapes and values, and of the header's text, as 32 hexadecimal digits.

    Args:
        tensors: Tensors sorted by name.
        header: The header's text.
    """
    digest = hashlib.blake2b(header.encode(), digest_size=16)
    for tensor in tensors:
        digest.update(f"\n{tensor.name} {tensor.kind} {tensor.shape}\n".encode())
        digest.update(tensor.values)
    return digest.hexdigest()


def read_header(path: Path) -> Any:
    """Read the header of a checkpoint; its weights are not read.

    Raises:
        CheckpointError: The file is missing, damaged, or no pancascade checkpoint.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            return parse_json((file.metadata() or {})[HEADER])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise unreadable(path, error) from error


def read_digest(path: Path) -> str | None:
    """Return the digest that a checkpoint names, which is not checked; None of an older version.

    Raises:
        CheckpointError: The file is missing or damaged.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            return (file.metadata() or {}).get(DIGEST)
    except (OSError, SafetensorError) as error:
        raise unreadable(path, error) from error


def read_checked_header(path: Path) -> tuple[Any, str]:
    """Return the header and the digest of a checkpoint, after a check of its digest.

    Raises:
        CheckpointError: The file is missing, damaged, no checkpoint, or without a digest; or a weight is not finite.
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
    """Return the error for a file with a wrong digest."""
    return CheckpointError(f"{path.name}: damaged, it is not as it was written. Copy it again.")


def not_finite(path: Path, name: str) -> CheckpointError:
    """Return the error for a file with NaN or infinite weights."""
    return CheckpointError(
        f"{path.name}: {shortened(name, 60)} holds NaN or infinity, which no network can use. "
        "Copy it again, or train again."
    )


def unreadable(path: Path, error: Exception) -> CheckpointError:
    """Return the error for a file that cannot be read."""
    if isinstance(error, FileNotFoundError):  # safetensors gives no more than the name
        return CheckpointError(f"{path.name}: there is no such file. Check the path.")
    why = "it has no pancascade description" if isinstance(error, KeyError) else reason(error)
    return CheckpointError(f"{path.name}: not a readable pancascade checkpoint ({why}). Copy it again.")


def refuse_state(path: Path, header: Any) -> None:
    """Check that a file holds weights, not a training state.

    Raises:
        CheckpointError: The file is a training state.
    """
    if is_training_state(header):
        raise CheckpointError(f"{path.name}: a training state, not weights. Give the run's best.safetensors.")


def is_training_state(header: Any) -> bool:
    """Return whether a header belongs to a run's training state, ``last.safetensors``."""
    return isinstance(header, dict) and {"epoch", "step", "best", "history"} <= header.keys()
