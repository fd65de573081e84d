"""The training of any cascade by a recipe."""

import json
import logging
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Generator
from torch.optim import Optimizer

from pancascade.cascades import Cascade, build_cascade, fast_layout
from pancascade.checkpoint import TRAINED_ON, describe, load_weights, read_training, save_checkpoint
from pancascade.errors import DataError, OutputError, PancascadeError
from pancascade.io import written_whole
from pancascade.sampling import Batch, deal
from pancascade.training.data import TrainingData, read_training_data
from pancascade.training.optimisation import build_optimiser, set_learning_rate, update_average
from pancascade.training.pretrained import load_pretrained_encoders
from pancascade.training.provenance import require_unseen, training_record
from pancascade.training.recipe import Recipe, read_recipe
from pancascade.training.state import restore_state, save_state
from pancascade.training.validation import validate

logger = logging.getLogger(__name__)

LAST = "last.safetensors"
"""The state that a run resumes from."""


class DivergedError(PancascadeError):
    """A loss is no longer a number."""


@dataclass
class Run:
    """A training run under way.

    Attributes:
        recipe: What is trained and how.
        folder: Where checkpoints, log and pictures go.
        fabric: Device and precision.
        cascade: The weights that learn.
        average: Their running average, if the recipe wants one.
        optimiser: With its moments.
        epoch: Epochs done.
        step: Optimiser steps done.
        best: Best validation score so far.
        history: One dictionary an epoch.
        trained_on: Whom the weights have learned from, as their checkpoint tells.
    """

    recipe: Recipe
    folder: Path
    fabric: Fabric
    cascade: Cascade
    average: Cascade | None
    optimiser: Optimizer
    epoch: int = 0
    step: int = 0
    best: float = -1.0
    history: list[dict[str, Any]] = field(default_factory=list)
    trained_on: list[dict[str, Any]] = field(default_factory=list)

    @property
    def kept(self) -> Cascade:
        """The weights that are validated and shipped."""
        return self.average if self.average is not None else self.cascade


Progress = Callable[[Run, int, int], None]
"""Called after each batch with the run, batches done and batches of the epoch."""


def fit(
    recipe_path: Path,
    data: Path,
    *,
    out: Path,
    resume: bool = False,
    start_from: Path | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Run:
    """Train a recipe to its end.

    Writes into ``out``: ``recipe.yaml``, ``best.safetensors``, ``last.safetensors`` (the state to resume from),
    ``history.json``, ``validation.png`` and a TensorBoard log. The same recipe, data and machine give the same
    weights bit for bit, whether the run was interrupted or not.

    Args:
        recipe_path: The recipe.
        data: Folder that holds the recipe's data sets.
        out: Folder of the run.
        resume: Go on from ``out/last.safetensors`` if it is there.
        start_from: Checkpoint of the same cascade whose weights are trained further; None for random weights.
        device: ``cpu`` or ``cuda``.
        progress: Called after every batch.

    Raises:
        PancascadeError: Recipe, data or output folder cannot be used, a patient is trained on and held out, or a loss
            is not finite.
    """
    recipe = read_recipe(recipe_path)
    run = _start(recipe, out, device=device, start_from=start_from, beside=recipe_path.parent)
    _claim_folder(run, recipe_path, resume=resume)
    sets = read_training_data(recipe, root=data, beside=recipe_path.parent, out=out)
    require_unseen(run.trained_on, sets.patients)
    run.trained_on = training_record(sets.patients, run.trained_on)
    if run.epoch == 0:
        run.cascade.prepare([labels for samples in sets.training for labels in samples.labels], seed=recipe.seed)
    while run.epoch < recipe.epochs:
        started = time.monotonic()
        losses = _train_epoch(run, sets, progress)
        picture = out / "validation.png"
        validation = sets.validation
        scores = validate(run.kept, validation, picture=picture, where=recipe.validate_in) if validation else {}
        _record(run, losses, scores, seconds=time.monotonic() - started)
    return run


def _start(recipe: Recipe, out: Path, *, device: str, start_from: Path | None = None, beside: Path = Path()) -> Run:
    torch.manual_seed(recipe.seed)
    fabric = Fabric(accelerator=device, devices=1, precision=recipe.precision)
    cascade = build_cascade(recipe.cascade)
    trained_on: list[dict[str, Any]] = []
    if not (out / LAST).exists():  # a resumed run has weights of its own
        load_pretrained_encoders(cascade, recipe.pretrained, beside=beside)
        if start_from is not None:
            load_weights(cascade, start_from)
            trained_on = read_training(start_from).get(TRAINED_ON, [])
    cascade = cascade.to(fabric.device)
    cascade = fast_layout(cascade)
    average = None
    if recipe.average_decay is not None:
        average = deepcopy(cascade).eval().requires_grad_(False)
    optimiser = build_optimiser(cascade, recipe.optimiser)
    return Run(recipe, out, fabric, cascade, average, optimiser, trained_on=trained_on)


def _claim_folder(run: Run, recipe_path: Path, *, resume: bool) -> None:
    last = run.folder / LAST
    if last.exists():
        if not resume:
            raise OutputError(f"{run.folder}: holds a run already. Add --resume or choose another --out folder.")
        progress = restore_state(last, cascade=run.cascade, average=run.average, optimiser=run.optimiser)
        run.epoch, run.step, run.best = progress["epoch"], progress["step"], progress["best"]
        run.history, run.trained_on = progress["history"], progress.get(TRAINED_ON, [])
        return
    with written_whole(run.folder / "recipe.yaml") as temporary:
        temporary.write_text(recipe_path.read_text())


def _train_epoch(run: Run, sets: TrainingData, progress: Progress | None) -> dict[str, float]:
    recipe = run.recipe
    # The epoch's number alone decides its randomness: a resumed run draws what an uninterrupted one draws.
    generator = Generator().manual_seed(recipe.seed * 1_000_003 + run.epoch)
    batches = -(-sum(sets.counts) // recipe.batch_size)
    totals: dict[str, float] = {}
    run.cascade.train()
    phase, epoch, epochs = recipe.place_of(run.epoch)
    run.cascade.begin_epoch(epoch, epochs=epochs, phase=phase)
    dealt = deal(
        sets.training,
        counts=sets.counts,
        batch_size=recipe.batch_size,
        augmentation=recipe.augmentation,
        generator=generator,
    )
    for index, batch in enumerate(dealt):
        step_now = (index + 1) % recipe.accumulate == 0
        steps = -(-batches * recipe.epochs // recipe.accumulate)
        step = (run.epoch * batches + index) // recipe.accumulate
        set_learning_rate(run.optimiser, recipe.optimiser, step=step, steps=steps, epoch=run.epoch)
        for name, value in _train_batch(run, batch, generator, step_now=step_now).items():
            totals[name] = totals.get(name, 0.0) + value
        if progress is not None:
            progress(run, index + 1, batches)
    if any(parameter.grad is not None for parameter in run.cascade.parameters()):
        _step(run)  # what the last, incomplete round of accumulation left
    if not totals:
        raise DataError(
            f"{recipe.name}: an epoch of phase {phase} holds no batch of {recipe.batch_size} that teaches anything."
            " Add data with target."
        )
    return {name: value / (index + 1) for name, value in totals.items()}


def _train_batch(run: Run, batch: Batch, generator: Generator, *, step_now: bool) -> dict[str, float]:
    images = fast_layout(batch.images.to(run.fabric.device))
    phase = run.recipe.phase_of(run.epoch)
    objectives = run.cascade.losses(images, batch.labels.to(run.fabric.device), phase=phase, generator=generator)
    seen: dict[str, float] = {}
    while True:
        with run.fabric.autocast():
            losses = next(objectives, None)
        if losses is None:
            return seen
        total = torch.stack(list(losses.values())).sum()
        if not bool(torch.isfinite(total)):
            values = ", ".join(f"{name} {float(value.detach()):g}" for name, value in losses.items())
            raise DivergedError(
                f"Loss is not finite in phase {phase}, epoch {run.epoch + 1}, slices {', '.join(batch.names)} "
                f"({values}). Lower the learning rate, or resume from the last checkpoint."
            )
        run.fabric.backward(total / run.recipe.accumulate)
        seen |= {name: float(value.detach()) for name, value in losses.items()}
        if step_now:
            _step(run)


def _step(run: Run) -> None:
    clip = run.recipe.optimiser.gradient_clip
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(run.cascade.parameters(), clip)
    run.optimiser.step()
    run.optimiser.zero_grad(set_to_none=True)
    if run.average is not None and run.recipe.average_decay is not None:
        update_average(run.average, run.cascade, decay=run.recipe.average_decay, step=run.step)
    run.step += 1


def _record(run: Run, losses: dict[str, float], scores: dict[str, float], *, seconds: float) -> None:
    from torch.utils.tensorboard import SummaryWriter

    phase = run.recipe.phase_of(run.epoch)
    run.epoch += 1
    run.history.append(
        {"epoch": run.epoch, "phase": phase, "losses": losses, "dice": scores, "seconds": round(seconds, 1)}
    )
    with SummaryWriter(str(run.folder / "tensorboard")) as log:
        for group, values in (("loss", losses), ("validation_dice", scores)):
            for name, value in values.items():
                log.add_scalar(f"{group}/{name}", value, run.epoch)
    # The last label that a validation slice shows decides; without validation the last epoch is kept.
    score = next((scores[label.title] for label in reversed(run.cascade.labels) if label.title in scores), -1.0)
    if not scores or score > run.best:
        run.best = score
        _save_best(run, scores)
    progress = {"epoch": run.epoch, "step": run.step, "best": run.best, "history": run.history}
    progress[TRAINED_ON] = run.trained_on
    save_state(
        run.folder / LAST,
        cascade=run.cascade,
        average=run.average,
        optimiser=run.optimiser,
        progress=progress,
    )
    with written_whole(run.folder / "history.json") as temporary:
        temporary.write_text(json.dumps(run.history, indent=1))
    logger.info("epoch %d (%s): loss %s, Dice %s", run.epoch, phase, losses, scores)


def _save_best(run: Run, scores: dict[str, float]) -> None:
    description = describe(
        run.recipe.cascade,
        run.recipe.canvas,
        recipe=run.recipe.model_dump(mode="json"),
        epoch=run.epoch,
        validation_dice=scores,
        **{TRAINED_ON: run.trained_on},
    )
    save_checkpoint(run.folder / "best.safetensors", run.kept, description=description)
