"""The training of any cascade by a recipe."""

import logging
import time
from collections.abc import Iterator, Mapping
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
from pancascade.training.run import ProgressCall, Run, as_begun, start, take_up
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
        start_from: Weights of the same cascade that are trained further, a checkpoint or a model by name or file;
            None for random weights.
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
        run = start(
            as_begun(recipe, out) if resume else recipe,
            out,
            device=device,
            start_from=start_from,
            beside=recipe_path.parent,
        )
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
    if epoch == 0:
        _begin_phase(run)
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
        for optimiser in run.optimisers:
            set_learning_rate(optimiser, recipe.optimiser, step=step, steps=steps, epoch=run.epoch)
        _add(totals, _train_batch(run, batch, generator, step_now=step_now))
        if progress is not None:
            progress(run, index + 1, batches)
    _add(totals, _finish_round(run))  # the last, incomplete round of accumulation
    if not totals:
        raise DataError(
            f"{recipe.name}: an epoch of phase {phase} holds no batch of {recipe.batch_size} that teaches anything."
            " Add data with target."
        )
    return {name: value / (index + 1) for name, value in totals.items()}


def _begin_phase(run: Run) -> None:
    earlier = [run.recipe.phase_of(epoch) for epoch in range(run.epoch)]
    for cascade in (run.cascade, run.average):
        if cascade is not None:
            cascade.begin_phase(run.recipe.phase_of(run.epoch), earlier=tuple(dict.fromkeys(earlier)))


def _train_batch(run: Run, batch: Batch, generator: Generator, *, step_now: bool) -> dict[str, float]:
    """Gradient of a batch's first objective; with ``step_now`` the round's steps. Gives the losses that were seen."""
    images = fast_layout(batch.images.to(run.fabric.device))
    phase = run.recipe.phase_of(run.epoch)
    objectives = run.cascade.losses(images, batch.labels.to(run.fabric.device), phase=phase, generator=generator)
    seen = _next_objective(run, batch.names, objectives)
    return seen | _finish_round(run) if step_now else seen


def _finish_round(run: Run) -> dict[str, float]:
    """Step along what the round's batches gathered; then gather each further objective of all of them, and step.

    So an objective's gradient is that of all its batches at the same weights, and of no other objective. Gives the
    sums of the further losses.
    """
    seen: dict[str, float] = {}
    number = 0
    while any(parameter.grad is not None for parameter in run.cascade.parameters()):
        _step(run, number)
        number += 1
        pending, run.pending = run.pending, []
        for names, objectives in pending:
            _add(seen, _next_objective(run, names, objectives))
    run.pending = []
    return seen


def _next_objective(
    run: Run, names: tuple[str, ...], objectives: Iterator[dict[str, torch.Tensor]]
) -> dict[str, float]:
    """Add the gradient of a batch's next objective up, if it has one, and keep the batch for those after it."""
    with run.fabric.autocast():
        losses = next(objectives, None)
    if losses is None:
        return {}
    total = torch.stack(list(losses.values())).sum()
    if not bool(torch.isfinite(total)):
        values = ", ".join(f"{name} {float(value.detach()):g}" for name, value in losses.items())
        raise DivergedError(
            f"Loss is not finite in phase {run.recipe.phase_of(run.epoch)}, epoch {run.epoch + 1}, slices "
            f"{', '.join(names)} ({values}). Lower the learning rate, or resume from the last checkpoint."
        )
    run.fabric.backward(total / run.recipe.accumulate)
    run.pending.append((names, objectives))
    return {name: float(value.detach()) for name, value in losses.items()}


def _add(totals: dict[str, float], losses: Mapping[str, float]) -> None:
    for name, value in losses.items():
        totals[name] = totals.get(name, 0.0) + value


def _step(run: Run, objective: int = 0) -> None:
    clip = run.recipe.optimiser.gradient_clip
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(run.cascade.parameters(), clip)
    optimiser = run.optimisers[min(objective, len(run.optimisers) - 1)]
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    if run.average is not None and run.recipe.average_decay is not None:
        update_average(run.average, run.cascade, decay=run.recipe.average_decay, step=run.step)
    run.step += 1
