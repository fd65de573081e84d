"""Joining of stages from separate training runs into one checkpoint."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pancascade.errors import CheckpointError
from pancascade.files.digests import UNREADABLE, content_digest
from pancascade.files.documents import shortened
from pancascade.methods.checkpoint import describe, load_checkpoint, save_checkpoint
from pancascade.methods.weights_file import TRAINED_ON


def join_checkpoints(parts: Mapping[str, Path], out: Path) -> None:
    """Write one checkpoint whose stages come from separate training runs.

    Args:
        parts: Checkpoint by name of the stage to take from it, such as ``first`` and ``second``. All have the same
            cascade. Weights that no name covers come from the first checkpoint.
        out: Checkpoint to write.

    Raises:
        CheckpointError: A file is damaged, of another cascade or canvas, or has no stage of that name.
        OutputError: The folder cannot be written.
    """
    _require_different(parts)
    base = next(iter(parts.values()))
    cascade, description = load_checkpoint(base)
    weights = dict(cascade.state_dict())
    trained_on = list(description.training.get(TRAINED_ON, []))
    for name, path in parts.items():
        part, theirs = load_checkpoint(path)
        if (theirs.cascade, theirs.canvas) != (description.cascade, description.canvas):
            raise CheckpointError(
                f"{path.name}: of another cascade or canvas than {base.name}. Train both with one recipe."
            )
        stage = {key: value for key, value in part.state_dict().items() if key.startswith(f"{name}.")}
        if not stage:
            known = ", ".join(child for child, _ in part.named_children())
            raise CheckpointError(f"{path.name}: has no stage {shortened(name, 40)!r}; it has {known}.")
        weights |= stage
        trained_on += [record for record in theirs.training.get(TRAINED_ON, []) if record not in trained_on]
    cascade.load_state_dict(weights)
    training: dict[str, Any] = {"joined": {name: path.name for name, path in parts.items()}}
    if trained_on:
        training[TRAINED_ON] = trained_on
    save_checkpoint(out, cascade, description=describe(description.cascade, description.canvas, **training))


def _require_different(parts: Mapping[str, Path]) -> None:
    """Check that no two stages come from one checkpoint, which is likely a mistake."""
    seen: dict[str, str] = {}
    for name, path in parts.items():
        digest = content_digest(path)
        if digest in seen and digest != UNREADABLE:
            raise CheckpointError(
                f"{path.name}: given for {seen[digest]} and for {name}; it is one checkpoint. "
                "Give another run's checkpoint for one of them."
            )
        seen[digest] = name
