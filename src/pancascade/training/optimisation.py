"""Optimiser, learning-rate schedule, and the running average of the weights."""

import math

import torch
from torch import nn
from torch.optim import Optimizer

from pancascade.methods.cascades import Cascade
from pancascade.training.optimiser_settings import OptimiserSettings


def build_optimisers(cascade: Cascade, settings: OptimiserSettings) -> tuple[Optimizer, ...]:
    """Return one optimiser for all objectives of an iteration, or one for each; each has every parameter.

    A parameter that an objective does not reach has no gradient, so its optimiser does not change it.
    """
    count = cascade.objectives if settings.moments == "per_objective" else 1
    return tuple(build_optimiser(cascade, settings) for _ in range(count))


def build_optimiser(cascade: nn.Module, settings: OptimiserSettings) -> Optimizer:
    """Return the optimiser of a recipe, with one parameter group for each learning-rate factor and decay."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in cascade.named_parameters():
        if not parameter.requires_grad:
            continue
        bias = name.endswith("bias")
        factor = settings.bias_factor if bias else 1.0
        for prefix, more in settings.factors.items():
            factor *= more if name.startswith(prefix) else 1.0
        decay = settings.weight_decay if settings.decay_biases or not bias else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    described = [
        {"params": parameters, "lr": settings.learning_rate * factor, "weight_decay": decay, "factor": factor}
        for (factor, decay), parameters in groups.items()
    ]
    if settings.kind == "sgd":
        return torch.optim.SGD(described, lr=settings.learning_rate, momentum=settings.momentum)
    algorithm = torch.optim.Adam if settings.kind == "adam" else torch.optim.AdamW
    return algorithm(described, lr=settings.learning_rate)


def set_learning_rate(
    optimiser: Optimizer, settings: OptimiserSettings, *, step: int, steps: int, epoch: int = 0
) -> float:
    """Set every group's rate for a step (from 0) of ``steps``, in an epoch; return the rate before factors."""
    progress = step / max(1, steps)
    share = {
        "constant": 1.0,
        "poly": (1 - progress) ** settings.power,
        "cosine": 0.5 * (1 + math.cos(math.pi * progress)),
        "step": settings.step_factor ** (epoch // settings.step_epochs),
    }[settings.schedule]
    if step < settings.warmup_steps:
        share *= (step + 1) / settings.warmup_steps
    rate = settings.learning_rate * share
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]
    return rate


@torch.no_grad()
def update_average(average: nn.Module, current: nn.Module, *, decay: float, step: int) -> None:
    """Move the averaged weights towards the current ones; faster in early steps, to forget the initial weights."""
    decay = min(decay, (1 + step) / (10 + step))
    for mean, weight in zip(average.parameters(), current.parameters(), strict=True):
        mean.lerp_(weight, 1 - decay)
    for kept, value in zip(average.buffers(), current.buffers(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(value, 1 - decay)
        else:
            kept.copy_(value)
