"""A training run under way: started, or taken up where it was."""

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
    """A batch of the round of accumulation under way.

    Attributes:
        names: Of the images that this process works on.
        share: Which those are.
        objectives: That are still to come; None where others do the whole batch.
        generator: The randomness of the objectives.
        asked: Objectives that were asked for.
    """

    names: tuple[str, ...]
    share: Share
    objectives: Iterator[dict[str, Tensor]] | None
    generator: Generator
    asked: int = 0


@dataclass
class Run:
    """A training run under way.

    Attributes:
        recipe: What is trained and how.
        folder: Where checkpoints, log and pictures go.
        fabric: Device and precision.
        cascade: The weights that learn.
        average: Their running average, if the recipe wants one.
        optimisers: With their moments; one for all objectives of an iteration, or one for each.
        group: The processes that train together; mostly this one alone.
        norms: How the layers of normalisation of several processes work together; None for one process.
        pending: Batches of the round of accumulation under way.
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
    optimisers: tuple[Optimizer, ...]
    group: ProcessGroup
    norms: SharedNorms | None = None
    pending: list[PendingBatch] = field(default_factory=list)
    epoch: int = 0
    step: int = 0
    best: float = -1.0
    history: list[dict[str, Any]] = field(default_factory=list)
    trained_on: list[dict[str, Any]] = field(default_factory=list)

    @property
    def kept(self) -> Cascade:
        """The weights that are validated and shipped."""
        return self.average if self.average is not None else self.cascade


class RunProgress(Protocol):
    """How far a run is: what can be told of it in any process."""

    @property
    def recipe(self) -> Recipe:
        """What is trained and how."""
        ...

    @property
    def epoch(self) -> int:
        """Epochs done."""
        ...

    @property
    def history(self) -> list[dict[str, Any]]:
        """One dictionary an epoch."""
        ...


ProgressCall = Callable[[RunProgress, int, int], None]
"""Called after each batch with the run, or how far it is; batches done, and batches of the epoch."""


def start(
    recipe: Recipe,
    out: Path,
    *,
    device: str,
    start_from: Path | None = None,
    beside: Path = Path(),
    fabric: Fabric | None = None,
) -> Run:
    """A run at its beginning.

    Args:
        recipe: What is trained and how.
        out: Folder of the run.
        device: As `find_device` takes it.
        start_from: Weights of the same cascade that are trained further: a checkpoint, or a model by name or file.
        beside: Folder of the recipe, where weights of encoders are looked for.
        fabric: Of the processes that train together, connected; None for this one alone.

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
    if not (out / LAST).exists():  # a resumed run has weights of its own
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
    """Bring a run to where the one in its folder ended, if there is one.

    Args:
        run: As `start` made it; its weights, moments and progress are replaced.
        resume: Whether that was asked for.

    Returns:
        What the recipe changed since, in words.

    Raises:
        OutputError: The folder holds a run, and it was not asked for.
        CheckpointError: The state is damaged or of another recipe.
        RecipeError: The recipe changed the network, its input, or what the optimiser's moments belong to.
    """
    last = run.folder / LAST
    if not last.exists():
        return []
    if not resume:
        raise OutputError(f"{run.folder.name}: holds a run already. Add --resume or choose another --out folder.")
    tensors, progress = read_state(last)
    former = _former_recipe(run.folder, progress)
    now = public_recipe(run.recipe.model_dump(mode="json"))
    changed = changes(public_recipe(former), now) if former is not None else {}
    require_resumable(changed)
    restore_state(last, tensors, cascade=run.cascade, average=run.average, optimisers=run.optimisers)
    run.epoch, run.step, run.best = progress.epoch, progress.step, progress.best
    run.history = [epoch.model_dump() for epoch in progress.history]
    run.trained_on = [record.model_dump(mode="json") for record in progress.trained_on]
    return [described(place, values) for place, values in changed.items()]


def as_begun(recipe: Recipe, out: Path) -> Recipe:
    """A recipe in the readings of the run in its folder, where that is older than some options; see `in_variants_of`.

    Args:
        recipe: Whose run may go on.
        out: Folder of the run; nothing changes without one, or where its state is damaged, which `take_up` refuses.
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
    """Settings of the run so far; from its recipe.yaml where the state is of an older version, None without one."""
    try:
        if progress.recipe is not None:
            complete = {**progress.recipe, "cascade": with_earlier_variants(progress.recipe.get("cascade"))}
            return Recipe.model_validate(complete).model_dump(mode="json")
        return in_variants_of(read_recipe(folder / RECIPE), ()).model_dump(mode="json")
    except ValidationError:  # of another version, whose settings may be named otherwise
        return progress.recipe
    except RecipeError:
        logger.warning("%s: missing or damaged, so whether the recipe changed since cannot be told.", RECIPE)
        return None
