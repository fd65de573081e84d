"""The training of any cascade by a recipe."""

import logging
import time
from pathlib import Path

import torch
from torch import Generator

from pancascade.cascades import fast_layout
from pancascade.errors import DataError, PancascadeError
from pancascade.io.output_lock import lock_output
from pancascade.memory_shortage import memory_shortage_told
from pancascade.sampling import Batch, deal
from pancascade.training.data import TrainingData, read_training_data
from pancascade.training.data_warnings import data_warnings
from pancascade.training.optimisation import set_learning_rate, update_average
from pancascade.training.provenance import require_unseen, training_record
from pancascade.training.recipe import read_recipe, recipe_text
from pancascade.training.recording import (
    PICTURE,
    has_finite_weights,
    keep_recipe,
    nothing_left_of_a_failure,
    record,
    replace_lost_best,
)
from pancascade.training.run import ProgressCall, Run, start, take_up
from pancascade.training.validation import validate

logger = logging.getLogger(__name__)


class DivergedError(PancascadeError):
    """A loss is no longer a number."""


def fit(
    recipe_path: Path,
    data: Path,
    *,
    out: Path,
    resume: bool = False,
    start_from: Path | None = None,
    device: str = "cpu",
    progress: ProgressCall | None = None,
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
    text = recipe_text(recipe_path)
    advice = "Lower batch_size, the canvas or the networks' widths in the recipe."
    with (
        memory_shortage_told("Training", advice=advice),
        lock_output(out, what="train"),
        nothing_left_of_a_failure(out),
    ):
        run = start(recipe, out, device=device, start_from=start_from, beside=recipe_path.parent)
        changed = take_up(run, resume=resume)
        sets = read_training_data(recipe, root=data, beside=recipe_path.parent, out=out)
        require_unseen(run.trained_on, sets.patients)
        run.trained_on = training_record(sets.patients, run.trained_on)
        for warning in data_warnings(run.cascade.labels, training=sets.training, validation=sets.validation):
            logger.warning(warning)
        keep_recipe(run, text, changed=changed)
        replace_lost_best(run)
        _train(run, sets, progress)
    return run


def _train(run: Run, sets: TrainingData, progress: ProgressCall | None) -> None:
    recipe, validation = run.recipe, sets.validation
    if run.epoch == 0:
        run.cascade.prepare([labels for samples in sets.training for labels in samples.labels], seed=recipe.seed)
    while run.epoch < recipe.epochs:
        started = time.monotonic()
        losses = _train_epoch(run, sets, progress)
        if not has_finite_weights(run):
            raise DivergedError(
                f"Weights are no longer numbers after epoch {run.epoch + 1}. Lower the learning rate, or clip the "
                "gradient, and go on from the last epoch with --resume."
            )
        picture = run.folder / PICTURE
        scores = validate(run.kept, validation, picture=picture, where=recipe.validate_in) if validation else {}
        record(run, losses, scores, seconds=time.monotonic() - started)


def _train_epoch(run: Run, sets: TrainingData, progress: ProgressCall | None) -> dict[str, float]:
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
