"""Estimate how long a plan will take: time a step or two of every network on the real data."""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, nn

from pancascade.data.sampling import Batch, SliceSet, load_slices, load_volumes
from pancascade.errors import DataError, PancascadeError
from pancascade.files.documents import shortened
from pancascade.imaging.preprocessing import Canvas
from pancascade.inference.backends.devices import find_device
from pancascade.messages.durations import spell_duration
from pancascade.messages.names_only import names_only
from pancascade.methods.cascades import build_cascade, fast_layout
from pancascade.reproduction.counted_cases import CountedCases
from pancascade.reproduction.plan import Plan, PlannedTraining
from pancascade.training.data import KEEP
from pancascade.training.optimisation import build_optimiser
from pancascade.training.recipe import Recipe

REFERENCE_GPU, REFERENCE_TFLOPS, REFERENCE_SHARE = "GTX 1080 Ti", 11.3, 0.4
"""GPU of DSMS U-Net; its single-precision peak by NVIDIA's data sheet, and the assumed share of it."""

_SLICES_READ, _SIDE, _WIDTH = 8, 128, 64


@dataclass(frozen=True)
class Estimate:
    """Time of one training and its prediction on this machine.

    Attributes:
        name: Name of the training.
        steps: Remaining optimiser steps.
        training_s: Seconds of these steps.
        prediction_s: Seconds of the test part's prediction.
    """

    name: str
    steps: int
    training_s: float
    prediction_s: float

    @property
    def total_s(self) -> float:
        """Seconds of training and prediction."""
        return self.training_s + self.prediction_s


@dataclass(frozen=True)
class Preflight:
    """Time of a plan.

    Attributes:
        estimates: One for each remaining training.
        convolution_tflops: Speed of a convolution on this machine, TFLOP/s.
        device: Device of the timed steps.
        untimed: Why trainings could not be timed; they will fail, or take time that is not counted.
    """

    estimates: tuple[Estimate, ...]
    convolution_tflops: float
    device: str
    untimed: tuple[str, ...] = ()

    @property
    def here_s(self) -> float:
        """Seconds of all that is left, on this machine."""
        return sum(estimate.total_s for estimate in self.estimates)

    @property
    def gpu_factor(self) -> float:
        """Assumed speed of the reference GPU relative to this machine."""
        return REFERENCE_SHARE * REFERENCE_TFLOPS / self.convolution_tflops

    def sentences(self) -> tuple[str, ...]:
        """Return the estimate as sentences for the user."""
        here = f"About {spell_duration(self.here_s)} on this machine ({self.device}), by timed steps of every network."
        if self.device != "cpu":
            return (here, *self.untimed)
        gpu = (
            f"About {spell_duration(self.here_s / self.gpu_factor)} on a {REFERENCE_GPU}: an estimate, "
            f"{self.gpu_factor:.0f} times as fast, from "
            f"{REFERENCE_SHARE:.0%} of its {REFERENCE_TFLOPS:g} TFLOP/s (data sheet) against the "
            f"{self.convolution_tflops:.2g} TFLOP/s that a convolution reaches here. Small networks gain less."
        )
        return (here, gpu, *self.untimed)


def preflight(
    plan: Plan,
    trainings: Sequence[tuple[PlannedTraining, int]],
    *,
    device: str,
    reported: Callable[[str], None] = lambda _: None,
) -> Preflight:
    """Time what is left of a plan; a training that cannot be timed is recorded, and the others are timed.

    Args:
        plan: Plan of a table.
        trainings: Remaining trainings, with the epochs that each has done.
        device: As for `pancascade.inference.backends.devices.find_device`.
        reported: Called with the name of what is timed.
    """
    timed: dict[str, tuple[dict[str, float], float]] = {}
    estimates, untimed = [], []
    for training, done in trainings:
        key = json.dumps(training.recipe, sort_keys=True, default=str)
        recipe = Recipe.model_validate({**training.recipe, "data": [dict(training.source)]})
        if key not in timed:
            reported(f"timing {training.name}")
            try:
                timed[key] = _time(recipe, training.fold.train, keep=plan.table.data.keep, device=device)
            except (PancascadeError, ValueError, RuntimeError) as error:  # torch raises these for too small images
                untimed.append(f"{training.name} could not be timed: {first_line(error)}")
                continue
        by_phase, forward_s = timed[key]
        volumes = not isinstance(recipe.canvas, Canvas)
        samples = len(training.fold.train.cases) if volumes else training.fold.train.kept(plan.table.data.keep)
        tested = len(training.fold.test.cases) if volumes else training.fold.test.kept("all")
        batches = math.ceil(samples / recipe.batch_size)
        phases = [recipe.phase_of(epoch) for epoch in range(done, recipe.epochs)]
        seconds = sum(batches * by_phase[phase] for phase in phases)
        estimates.append(Estimate(training.name, batches * len(phases), seconds, tested * forward_s))
    return Preflight(tuple(estimates), convolution_tflops(), device, tuple(untimed))


def first_line(error: Exception) -> str:
    """Return an error's message without folders; for another library's error its kind and first line."""
    if isinstance(error, PancascadeError):
        return str(error)
    lines = str(error).splitlines() or [""]
    return names_only(f"{type(error).__name__}, {shortened(lines[0], 120)}")


def convolution_tflops() -> float:
    """Return the speed of a 3×3 convolution of usual size on this machine's processor, in TFLOP/s; the best of four."""
    convolution, image = nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1), torch.ones(1, _WIDTH, _SIDE, _SIDE)
    best = math.inf
    with torch.no_grad():
        for _ in range(4):
            started = time.perf_counter()
            convolution(image)
            best = min(best, time.perf_counter() - started)
    return 2 * 9 * _WIDTH**2 * _SIDE**2 / best / 1e12


def _time(recipe: Recipe, cases: CountedCases, *, keep: str, device: str) -> tuple[dict[str, float], float]:
    """Return seconds of a step in each phase, and of the prediction of one slice or volume."""
    batch = _batch(recipe, cases, keep=keep)
    place = find_device(device)
    torch.manual_seed(recipe.seed)
    cascade = fast_layout(build_cascade(recipe.cascade).to(place))
    optimiser = build_optimiser(cascade, recipe.optimiser)
    images, labels = fast_layout(batch.images.to(place)), batch.labels.to(place)
    generator = Generator().manual_seed(recipe.seed)
    rounded = recipe.precision == "bf16-mixed"

    def step(phase: str) -> Iterator[None]:
        objectives = cascade.losses(images, labels, phase=phase, generator=generator)
        while True:
            with torch.autocast(place.type, torch.bfloat16, enabled=rounded):
                losses = next(objectives, None)
            if losses is None:
                return
            torch.autograd.backward(torch.stack(list(losses.values())).sum())
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            yield

    found: dict[str, float] = {}
    for phase in recipe.phases:
        cascade.train()
        cascade.begin_epoch(0, epochs=phase.epochs, phase=phase.name)
        found[phase.name] = _quickest(lambda name=phase.name: list(step(name)), place)  # type: ignore[misc]
    cascade.eval()
    with torch.no_grad():
        forward_s = _quickest(lambda: cascade(images), place) / len(images)
    return found, forward_s


def _quickest(work: Callable[[], object], place: torch.device) -> float:
    """Return the seconds of some work: the faster of two runs, since the first allocates; one run if it is long."""
    seconds = math.inf
    for _ in range(2):
        started = time.perf_counter()
        work()
        if place.type == "cuda":
            torch.cuda.synchronize(place)
        seconds = min(seconds, time.perf_counter() - started)
        if seconds > 5:
            break
    return seconds


def _batch(recipe: Recipe, cases: CountedCases, *, keep: str) -> Batch:
    """Return a batch of real training data."""
    if not isinstance(recipe.canvas, Canvas):
        order = sorted(zip(cases.cases, cases.counts, strict=True), key=lambda pair: pair[1].slices)
        return load_volumes([order[len(order) // 2][0]], recipe.canvas).batch([0])
    for case, count in zip(cases.cases, cases.counts, strict=True):
        if not count.kept(keep):
            continue
        found = load_slices([case], recipe.canvas).select(KEEP[keep])
        if len(found):
            return _repeated(found, recipe.batch_size)
    raise DataError(f"{cases.name}: no training case has a slice that is kept ({keep}). Is it another data set?")


def _repeated(slices: SliceSet, size: int) -> Batch:
    return slices.batch([place % len(slices) for place in range(size)])
