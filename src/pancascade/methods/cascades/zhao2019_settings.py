"""Every choice of the cascade of Zhao et al. 2019."""

from typing import Literal

from pydantic import Field

from pancascade.methods.cascades.reduction import (
    Enlarging,
    LabelReduction,
    Reduction,
)
from pancascade.methods.cascades.vote import VoteRule
from pancascade.methods.losses.centre import (
    CentreNormaliser,
    CentreSchedule,
)
from pancascade.methods.networks import NetworkSettings
from pancascade.settings import Settings


class Zhao2019Settings(Settings):
    """Every choice of the method; the defaults are those of methods.md §D.

    Attributes:
        first: Stage 1's network, one logit map.
        second: Stage 2's network; the paper has the same architecture twice, with weights of its own.
        target: What both stages find: ``pancreas`` with any tumour in it (the paper), or the ``tumour`` alone.
        factor: R, by which stage 1's volume is smaller along each axis.
        reduction: ``linear`` interpolates between the two middle voxels of R along each axis, ``area`` averages all R.
        label_reduction: What stage 1 learns of R³ voxels: whether half of them are the target (``area``), or the
            ``middle_voxel``.
        enlarging: Of stage 1's probability map, for B₂ and the vote: ``linear``, or ``repeat`` each voxel.
        coarse_margin: Voxels of the reduced volume around the box that becomes B₁.
        margin: Voxels of the volume around B₂, and around the true box in training.
        component: ``largest`` hands only the 3-D component with the largest sum of probabilities over.
        vote: ``majority`` of both boxes' masks and stage 1's, or ``mean`` of their probabilities ≥ ½.
        centre_weight: λ₀ of the centre loss.
        centre_normaliser: N of the centre loss: the squared ``diagonal`` of a slice, or all ``voxels``.
        centre_schedule: λ after the first epochs: 0 (``step``) or falling to 0 by the last epoch (``linear``).
        centre_epochs: How many epochs of each phase have λ₀.
    """

    kind: Literal["zhao2019"] = "zhao2019"
    first: NetworkSettings = NetworkSettings(name="unet3d")
    second: NetworkSettings = NetworkSettings(name="unet3d")
    target: Literal["pancreas", "tumour"] = "pancreas"
    factor: int = Field(default=4, gt=0)
    reduction: Reduction = "linear"
    label_reduction: LabelReduction = "area"
    enlarging: Enlarging = "linear"
    coarse_margin: int = Field(default=2, ge=0)
    margin: int = Field(default=10, ge=0)
    component: Literal["all", "largest"] = "all"
    vote: VoteRule = "majority"
    centre_weight: float = Field(default=1.0, ge=0)
    centre_normaliser: CentreNormaliser = "diagonal"
    centre_schedule: CentreSchedule = "step"
    centre_epochs: int = Field(default=50, ge=0)
