"""A training run: its start and its resumption."""

import logging
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning_fabric import Fabric
from pydantic import ValidationError
from torch import Generator, Tensor
from torch.optim import Optimizer

from pancascade.errors import CheckpointError, OutputError, RecipeError
from pancascade.inference.backends.devices import find_device
from pancascade.methods.cascades import Cascade, build_cascade, fast_layout
from pancascade.methods.cascades.earlier_variants import with_earlier_variants
from pancascade.methods.checkpoint import load_weights
from pancascade.methods.weights_file import read_header
from pancascade.training.group import ProcessGroup, Share, divides_rounds
from pancascade.training.optimisation import build_optimisers
from pancascade.training.pretrained import load_pretrained_encoders
from pancascade.training.public_recipe import public_recipe
from pancascade.training.recipe import Recipe, read_recipe
from pancascade.training.resumption import changes, described, in_variants_of, require_resumable
from pancascade.training.shared_norms import SharedNorms
from pancascade.training.start_weights import find_start
from pancascade.training.state import LAST, Progress, read_state, restore_state

logger = logging.getLogger(__name__)

RECIPE, BEST = "recipe.yaml", "best.safetensors"


@dataclass
class PendingBatch:
    """A batch of the current round of accumulation.

    Attributes:
        names: Names of this process's images.
        share: This process's share of the batch.
        objectives: Iterator of the remaining objectives; None if other processes do the whole batch.
        generator: Random generator of the objectives.
        asked: Number of objectives computed so far.
    """

    names: tuple[str, ...]
    share: Share
    objectives: Iterator[dict[str, Tensor]] | None
    generator: Generator
    asked: int = 0


@dataclass
class Run:
    """State of a training run.

    Attributes:
        recipe: Recipe of the run.
        folder: Folder for checkpoints, log and pictures.
        fabric: Device and precision.
        cascade: The trained weights.
        average: Their running average, if the recipe has one.
        optimisers: Optimisers with their moments; one for all objectives of an iteration, or one for each.
        group: The processes that train together; usually only this one.
        norms: Shared normalisation of several processes; None for one process.
        pending: Batches of the current round of accumulation.
        epoch: Number of finished epochs.
        step: Number of optimiser steps.
        best: Best validation score so far.
        best_weights: Digest of the saved best weights; None before they are, or if it is not known.
        history: One dictionary per epoch.
        trained_on: Training patients of the weights, as recorded in their checkpoint.
    """

    recipe: Recipe
    folder: Path
    fabric: Fabric
    cascade: Cascade
    average: Cascade | None
    optimisers: tuple[Optimizer, ...]
    group: ProcessGroup
    norms: SharedNorms | None = None
    pending: list[PendingBatch] = field(default_factory=list)
    epoch: int = 0
    step: int = 0
    best: float = -1.0
    best_weights: str | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    trained_on: list[dict[str, Any]] = field(default_factory=list)

    @property
    def kept(self) -> Cascade:
        """The weights that are validated and saved as best."""
        return self.average if self.average is not None else self.cascade


class RunProgress(Protocol):
    """Progress of a run, available in any process."""

    @property
    def recipe(self) -> Recipe:
        """Recipe of the run."""
        ...

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        ...

    @property
    def history(self) -> list[dict[str, Any]]:
        """One dictionary per epoch."""
        ...


ProgressCall = Callable[[RunProgress, int, int], None]
"""Called after each batch with the run or its progress, the batches done, and the batches of the epoch."""


def start(
    recipe: Recipe,
    out: Path,
    *,
    device: str,
    start_from: Path | None = None,
    beside: Path = Path(),
    fabric: Fabric | None = None,
) -> Run:
    """Create a run at its beginning.

    Args:
        recipe: Recipe of the run.
        out: Folder of the run.
        device: Device name for `find_device`.
        start_from: Initial weights of the same cascade: a checkpoint, or a model by name or file.
        beside: Folder of the recipe, searched for weights of encoders.
        fabric: Connected Fabric of processes that train together; None for one process.

    Raises:
        PancascadeError: The device, the recipe's networks or the weights cannot be used.
    """
    chosen = find_device(device)
    torch.manual_seed(recipe.seed)
    if fabric is None:
        devices: int | list[int] = [chosen.index] if chosen.type == "cuda" and chosen.index is not None else 1
        fabric = Fabric(accelerator=chosen.type, devices=devices, precision=recipe.precision)
    group = ProcessGroup(fabric, rounds=fabric.world_size == 1 or divides_rounds(recipe, fabric.world_size))
    cascade = build_cascade(recipe.cascade)
    trained_on: list[dict[str, Any]] = []
    if not (out / LAST).exists():  # a resumed run loads its own weights
        cascade.require_start([phase.name for phase in recipe.phases], from_weights=start_from is not None)
        load_pretrained_encoders(cascade, recipe.pretrained, beside=beside)
        if start_from is not None:
            weights = find_start(start_from, cascade)
            load_weights(cascade, weights.checkpoint)
            trained_on = weights.trained_on
    cascade = cascade.to(fabric.device)
    cascade = fast_layout(cascade)
    average = None
    if recipe.average_decay is not None:
        average = deepcopy(cascade).eval().requires_grad_(False)
    optimisers = build_optimisers(cascade, recipe.optimiser)
    norms = None if group.alone else SharedNorms(cascade, group)
    return Run(recipe, out, fabric, cascade, average, optimisers, group, norms, trained_on=trained_on)


def take_up(run: Run, *, resume: bool) -> list[str]:
    """Restore the state of the run in the folder, if there is one.

    Args:
        run: Run from `start`; its weights, moments and progress are replaced.
        resume: Whether resumption was requested.

    Returns:
        Changes of the recipe since, in words.

    Raises:
        OutputError: The folder contains a run, and resumption was not requested.
        CheckpointError: The state is damaged or of another recipe.
        RecipeError: The recipe changes the network, its input, or the parameters of the optimiser's moments.
    """
    last = run.folder / LAST
    if not last.exists():
        return []
    if not resume:
        raise OutputError(
            f"{run.folder.name}: holds a run already. Continue with --resume, or choose another --out folder."
        )
    tensors, progress = read_state(last)
    former = _former_recipe(run.folder, progress)
    now = public_recipe(run.recipe.model_dump(mode="json"))
    changed = changes(public_recipe(former), now) if former is not None else {}
    require_resumable(changed)
    restore_state(last, tensors, cascade=run.cascade, average=run.average, optimisers=run.optimisers)
    run.epoch, run.step, run.best = progress.epoch, progress.step, progress.best
    run.best_weights = progress.best_weights
    run.history = [epoch.model_dump() for epoch in progress.history]
    run.trained_on = [record.model_dump(mode="json") for record in progress.trained_on]
    return [described(place, values) for place, values in changed.items()]


def as_begun(recipe: Recipe, out: Path) -> Recipe:
    """Return a recipe with the variants of an older run in its folder; see `in_variants_of`.

    Args:
        recipe: Recipe of a run that may be resumed.
        out: Folder of the run. Without a run or with a damaged state (which `take_up` refuses), nothing changes.
    """
    if not (out / LAST).exists():
        return recipe
    try:
        header = read_header(out / LAST)
        former = header["recipe"] if isinstance(header, dict) and header.get("recipe") else None
        named = former["cascade"] if former is not None else read_recipe(out / RECIPE).cascade.model_fields_set
        return in_variants_of(recipe, frozenset(named))
    except (CheckpointError, RecipeError, KeyError, TypeError):
        return recipe


def _former_recipe(folder: Path, progress: Progress) -> dict[str, Any] | None:
    """Return the run's settings so far; from its recipe.yaml if the state is older; None without one."""
    try:
        if progress.recipe is not None:
            complete = {**progress.recipe, "cascade": with_earlier_variants(progress.recipe.get("cascade"))}
            return Recipe.model_validate(complete).model_dump(mode="json")
        return in_variants_of(read_recipe(folder / RECIPE), ()).model_dump(mode="json")
    except ValidationError:  # of another version with other names of settings
        return progress.recipe
    except RecipeError:
        logger.warning("%s: missing or damaged, so changes of the recipe cannot be checked.", RECIPE)
        return None
