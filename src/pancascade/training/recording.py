"""Files of a run in its folder: recipe, checkpoints, history, log."""

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from pancascade.errors import CheckpointError, OutputError
from pancascade.files.atomic import written_whole
from pancascade.methods.checkpoint import describe, load_weights, read_training, save_checkpoint
from pancascade.methods.weights_file import TRAINED_ON, read_digest
from pancascade.training.public_recipe import public_recipe, public_text
from pancascade.training.recipe import Recipe
from pancascade.training.run import BEST, RECIPE, Run
from pancascade.training.state import LAST, save_state

logger = logging.getLogger(__name__)

HISTORY, PICTURE, LOG = "history.json", "validation.png", "tensorboard"
_NOTE = "# Until epoch "


@contextmanager
def nothing_left_of_a_failure(folder: Path) -> Iterator[None]:
    """Remove the files of a run that fails before its first state is written."""
    before = {path.name for path in folder.iterdir()}
    try:
        yield
    except BaseException:
        if not (folder / LAST).exists():
            for path in _files(folder):
                if path.name not in before:
                    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        raise


def _files(folder: Path) -> list[Path]:
    named = [folder / name for name in (RECIPE, BEST, HISTORY, PICTURE, LOG)]
    return [path for path in (*named, *folder.glob("split_*.json")) if path.exists()]


def keep_recipe(run: Run, text: str, *, changed: Sequence[str]) -> None:
    """Write the recipe of the continued run, with changes since earlier epochs as comments above it.

    Args:
        run: The run at its start, or after resumption.
        text: Text of the recipe's file.
        changed: Result of `take_up`.

    Raises:
        OutputError: The folder cannot be written.
    """
    path = run.folder / RECIPE
    if run.epoch > 0 and not changed and path.is_file():
        return
    notes = [f"{_NOTE}{run.epoch}: {change}.\n" for change in changed]
    for line in notes:
        logger.warning("The recipe changed: %s.", line.removeprefix(_NOTE).partition(": ")[2].strip().rstrip("."))
    former = [line for line in _lines(path) if line.startswith(_NOTE)] if run.epoch > 0 else []
    body = [line for line in public_text(text).splitlines(keepends=True) if not line.startswith(_NOTE)]
    with written_whole(path) as temporary:
        temporary.write_text("".join([*former, *notes, *body]), encoding="utf-8")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines(keepends=True)
    except (OSError, UnicodeDecodeError):
        return []


def replace_lost_best(run: Run) -> None:
    """Replace best weights of a resumed run that are missing, damaged or of another run by those of its last epoch.

    Raises:
        OutputError: The folder cannot be written.
    """
    fault = _fault_of_best(run) if run.epoch > 0 else None
    if fault is None:
        return
    scores = run.history[-1]["dice"]
    logger.warning(
        "%s is %s: the weights of epoch %d take its place. The former best weights are lost.",
        BEST,
        fault,
        run.epoch,
    )
    run.best = _score(run, scores)
    _save_best(run, scores)
    _save_state(run)  # else the next resumption takes them for another run's


def _fault_of_best(run: Run) -> str | None:
    """Return what is wrong with the file of the best weights of a resumed run; None if nothing is."""
    best = run.folder / BEST
    if not best.exists():
        return "gone"
    try:
        load_weights(deepcopy(run.kept), best)
        digest, epoch = read_digest(best), read_training(best).get("epoch")
    except CheckpointError:
        return "damaged"
    # A run that is killed between the two files leaves best weights of the epoch after its state.
    ours = run.best_weights in (None, digest) or epoch == run.epoch + 1
    return None if ours else "of another run"


def record(run: Run, losses: dict[str, float], scores: dict[str, float], *, seconds: float) -> None:
    """Record an epoch; the leading process writes log, best weights if improved, state, and history.

    Raises:
        OutputError: The folder cannot be written.
        CheckpointError: The weights are not finite.
    """
    phase = run.recipe.phase_of(run.epoch)
    run.epoch += 1
    run.history.append(
        {"epoch": run.epoch, "phase": phase, "losses": losses, "dice": scores, "seconds": round(seconds, 1)}
    )
    if not run.group.leads:
        return
    _log(run, losses, scores)
    score = _score(run, scores)
    if not scores or score > run.best:
        run.best = score
        _save_best(run, scores)
    _save_state(run)
    with written_whole(run.folder / HISTORY) as temporary:
        temporary.write_text(json.dumps(run.history, indent=1))
    logger.info("epoch %d (%s): loss %s, Dice %s", run.epoch, phase, losses, scores)


def _save_state(run: Run) -> None:
    progress: dict[str, Any] = {"epoch": run.epoch, "step": run.step, "best": run.best, "history": run.history}
    progress |= {"best_weights": run.best_weights, TRAINED_ON: run.trained_on}
    progress["recipe"] = _settings(run.recipe)
    save_state(
        run.folder / LAST, cascade=run.cascade, average=run.average, optimisers=run.optimisers, progress=progress
    )


def _score(run: Run, scores: dict[str, float]) -> float:
    """Return the Dice of the last label with a validation score; -1 without validation, which keeps the last epoch."""
    return next((scores[label.title] for label in reversed(run.cascade.labels) if label.title in scores), -1.0)


def _log(run: Run, losses: dict[str, float], scores: dict[str, float]) -> None:
    from torch.utils.tensorboard import SummaryWriter

    try:
        with SummaryWriter(str(run.folder / LOG)) as log:
            for group, values in (("loss", losses), ("validation_dice", scores)):
                for name, value in values.items():
                    log.add_scalar(f"{group}/{name}", value, run.epoch)
    except OSError as error:
        raise OutputError(
            f"{LOG}: cannot be written ({error.strerror or error}). Free some space. Continue with --resume."
        ) from error


def _save_best(run: Run, scores: dict[str, float]) -> None:
    description = describe(
        run.recipe.cascade,
        run.recipe.canvas,
        recipe=_settings(run.recipe),
        epoch=run.epoch,
        validation_dice=scores,
        **{TRAINED_ON: run.trained_on},
    )
    save_checkpoint(run.folder / BEST, run.kept, description=description)
    run.best_weights = read_digest(run.folder / BEST)


def _settings(recipe: Recipe) -> dict[str, Any]:
    return public_recipe(recipe.model_dump(mode="json"))


def has_finite_weights(run: Run) -> bool:
    """Return whether all weights and moments of a run are finite."""
    moments = [value for one in run.optimisers for state in one.state.values() for value in state.values()]
    tensors = [*run.cascade.state_dict().values(), *run.kept.state_dict().values()]
    tensors += [value for value in moments if isinstance(value, torch.Tensor)]
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors if tensor.is_floating_point())
