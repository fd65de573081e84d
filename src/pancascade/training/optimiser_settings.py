"""Optimiser and schedule of a recipe."""

from typing import Literal

from pydantic import Field

from pancascade.settings import Settings


class OptimiserSettings(Settings):
    """Optimiser and schedule.

    Attributes:
        kind: Algorithm.
        learning_rate: Learning rate at the start.
        momentum: Momentum of SGD.
        weight_decay: L2 (SGD, Adam) or decoupled (AdamW).
        schedule: ``constant``, ``poly`` (1 − t)^power or ``cosine`` over all phases, or ``step``: lower at intervals.
        power: Exponent of ``poly``.
        step_epochs: Epochs between two steps of ``step``.
        step_factor: Factor of the rate at each step.
        warmup_steps: Steps of linear increase before the schedule.
        bias_factor: Factor of the learning rate of biases.
        decay_biases: Whether weight decay applies to biases.
        factors: Learning-rate factor by the prefix of parameter names, e.g. ``{second: 10}``.
        gradient_clip: Largest gradient norm; None for no clipping.
        moments: Whether the objectives of an iteration (L-SNet has two, each with its own step) share one
            optimiser's moments (``shared``), or have one optimiser each (``per_objective``).
    """

    kind: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: float = Field(default=1e-5, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=1e-7, ge=0)
    schedule: Literal["constant", "poly", "cosine", "step"] = "constant"
    power: float = Field(default=0.9, gt=0)
    step_epochs: int = Field(default=25, gt=0)
    step_factor: float = Field(default=0.1, gt=0, le=1)
    warmup_steps: int = Field(default=0, ge=0)
    bias_factor: float = Field(default=1.0, gt=0)
    decay_biases: bool = True
    factors: dict[str, float] = Field(default_factory=dict)
    gradient_clip: float | None = Field(default=None, gt=0)
    moments: Literal["shared", "per_objective"] = "shared"
