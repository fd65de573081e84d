"""The training of any cascade by a recipe."""

import time
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Generator

from pancascade.data.sampling import Batch, draw_batches
from pancascade.errors import DataError
from pancascade.execution.memory_shortage import memory_shortage_reported
from pancascade.files.output_lock import lock_output
from pancascade.methods.cascades import fast_layout
from pancascade.training.data import TrainingData
from pancascade.training.group import ProcessGroup
from pancascade.training.objectives import DivergedError, next_losses, require_finite
from pancascade.training.optimisation import set_learning_rate, update_average
from pancascade.training.recipe import read_recipe, recipe_named, recipe_text
from pancascade.training.recording import (
    PICTURE,
    has_finite_weights,
    keep_recipe,
    nothing_left_of_a_failure,
    record,
    replace_lost_best,
)
from pancascade.training.run import PendingBatch, ProgressCall, Run, as_begun, start, take_up
from pancascade.training.run_data import read_data_of
from pancascade.training.validation import validate


def fit(
    recipe_path: Path,
    data: Path,
    *,
    out: Path,
    resume: bool = False,
    start_from: Path | None = None,
    device: str = "cpu",
    progress: ProgressCall | None = None,
    fabric: Fabric | None = None,
) -> Run:
    """Train a recipe to its last epoch.

    Writes into ``out``: ``recipe.yaml``, ``best.safetensors``, ``last.safetensors`` (the state to resume from),
    ``history.json``, ``validation.png`` and a TensorBoard log. The same recipe, data and machine give the same weights
    bit for bit, with or without interruptions of the run.

    Args:
        recipe_path: The recipe.
        data: Folder of the recipe's data sets.
        out: Folder of the run.
        resume: Continue from ``out/last.safetensors`` if it exists.
        start_from: Initial weights of the same cascade: a checkpoint, or a model by name or file; None for random
            weights.
        device: ``cpu`` or ``cuda``.
        progress: Called after every batch.
        fabric: For several processes that train together: a connected Fabric. Each process calls this function; only
            the first one writes and logs. None for one process. `fit_in_processes` starts several.

    Raises:
        PancascadeError: Recipe, data or output folder cannot be used, a patient is both trained on and held out, or a
            loss is not finite.
    """
    recipe = read_recipe(recipe_path)
    leads = fabric is None or fabric.global_rank == 0
    advice = "Lower batch_size, the canvas or the networks' widths in the recipe."
    with memory_shortage_reported("Training", advice=advice), ExitStack() as held:
        group = ProcessGroup(fabric) if fabric is not None else None
        with group.all_or_none() if group is not None else nullcontext():
            if leads:
                held.enter_context(lock_output(out, what="train"))
                held.enter_context(nothing_left_of_a_failure(out))
            with recipe_named(recipe_path):
                run = start(
                    as_begun(recipe, out) if resume else recipe,
                    out,
                    device=device,
                    start_from=start_from,
                    beside=recipe_path.parent,
                    fabric=fabric,
                )
            changed = take_up(run, resume=resume)
            sets = read_data_of(run, data, beside=recipe_path.parent)
        if leads:
            keep_recipe(run, recipe_text(recipe_path), changed=changed)
            replace_lost_best(run)
        _train(run, sets, progress)
    return run


def _train(run: Run, sets: TrainingData, progress: ProgressCall | None) -> None:
    recipe, validation = run.recipe, sets.validation
    if run.epoch == 0:
        run.cascade.prepare([labels for samples in sets.training for labels in samples.labels], seed=recipe.seed)
    run.group.spread(run.cascade, run.average)
    while run.epoch < recipe.epochs:
        started = time.monotonic()
        losses = _train_epoch(run, sets, progress)
        if not has_finite_weights(run):
            raise DivergedError(
                f"Weights are no longer finite after epoch {run.epoch + 1}. Lower the learning rate, or clip the "
                "gradient, and continue from the last epoch with --resume."
            )
        picture, scores = run.folder / PICTURE, dict[str, float]()
        if validation and run.group.leads:
            scores = validate(run.kept, validation, picture=picture, where=recipe.validate_in)
        record(run, losses, scores, seconds=time.monotonic() - started)


def _train_epoch(run: Run, sets: TrainingData, progress: ProgressCall | None) -> dict[str, float]:
    recipe = run.recipe
    # The randomness of an epoch depends only on its number, so a resumed run equals an uninterrupted one.
    generator = Generator().manual_seed(recipe.seed * 1_000_003 + run.epoch)
    batches = -(-sum(sets.counts) // recipe.batch_size)
    totals: dict[str, float] = {}
    run.cascade.train()
    phase, epoch, epochs = recipe.place_of(run.epoch)
    if epoch == 0:
        _begin_phase(run)
    run.cascade.begin_epoch(epoch, epochs=epochs, phase=phase)
    dealt = draw_batches(
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
    totals = _of_all_processes(run, totals)
    if not totals:
        raise DataError(
            f"{recipe.name}: an epoch of phase {phase} has no batch of {recipe.batch_size} with anything to learn."
            " Add data with target."
        )
    return {name: value / (index + 1) for name, value in totals.items()}


def _begin_phase(run: Run) -> None:
    earlier = [run.recipe.phase_of(epoch) for epoch in range(run.epoch)]
    for cascade in (run.cascade, run.average):
        if cascade is not None:
            cascade.begin_phase(run.recipe.phase_of(run.epoch), earlier=tuple(dict.fromkeys(earlier)))


def _of_all_processes(run: Run, totals: Mapping[str, float]) -> dict[str, float]:
    summed: dict[str, float] = {}
    for part in run.group.gathered(dict(totals)):
        _add(summed, part)
    return summed


def _train_batch(run: Run, batch: Batch, generator: Generator, *, step_now: bool) -> dict[str, float]:
    """Add the gradient of a batch's first objective; with ``step_now`` finish the round. Return the losses."""
    share = run.group.share(len(batch.names), position=len(run.pending))
    if not run.group.alone and run.cascade.draws_by_content:  # other processes could not skip these random draws
        generator = Generator().manual_seed(int(torch.randint(2**62, (), generator=generator)))
    objectives = None
    if not share.is_empty:
        images = fast_layout(batch.images[share.images].to(run.fabric.device))
        labels = batch.labels[share.images].to(run.fabric.device)
        objectives = run.cascade.losses(images, labels, phase=run.recipe.phase_of(run.epoch), generator=generator)
    seen = _next_objective(run, PendingBatch(batch.names[share.images], share, objectives, generator))
    return seen | _finish_round(run) if step_now else seen


def _finish_round(run: Run) -> dict[str, float]:
    """Step by the gradient of the round's batches; then, for each further objective of all batches, add and step.

    So the gradient of an objective is the sum over all its batches at the same weights, without other objectives.
    Returns the sums of the further losses.
    """
    seen: dict[str, float] = {}
    number = 0
    while run.group.sum_gradients(run.cascade.parameters()):
        if run.norms is not None:
            run.norms.finish_round()
        _step(run, number)
        number += 1
        pending, run.pending = run.pending, []
        for batch in pending:
            _add(seen, _next_objective(run, batch))
    run.pending = []
    if run.norms is not None:
        run.norms.finish_round()
    return seen


def _next_objective(run: Run, batch: PendingBatch) -> dict[str, float]:
    """Add the gradient of a batch's next objective, if any, and keep the batch for further ones."""
    with run.fabric.autocast():
        losses = next_losses(run, batch)
    total = None if losses is None else torch.stack(list(losses.values())).sum()
    anywhere = require_finite(run, batch, losses, total)
    if total is not None:
        run.fabric.backward(total * batch.share.weight / run.recipe.accumulate)
    if run.norms is not None:
        run.norms.finish()
    if anywhere:
        run.pending.append(batch)
    return {name: float(value.detach()) * batch.share.weight for name, value in (losses or {}).items()}


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
