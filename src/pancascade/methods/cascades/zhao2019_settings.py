"""Settings of the cascade of Zhao et al. 2019."""

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
    """Settings of the method; the defaults are those of methods.md §D.

    Attributes:
        first: Stage 1's network, one logit map.
        second: Stage 2's network; the paper uses the same architecture with separate weights.
        target: Target of both stages: ``pancreas`` with any tumour in it (the paper), or the ``tumour`` alone.
        factor: R, the factor by which stage 1's volume is reduced along each axis.
        reduction: ``linear`` interpolates between the two middle voxels of R along each axis, ``area`` averages all R.
        label_reduction: Stage 1's label of R³ voxels: target if half of them are (``area``), or the label of the
            ``middle_voxel``.
        enlarging: Enlargement of stage 1's probability map for B₂ and the vote: ``linear``, or ``repeat`` each voxel.
        coarse_margin: Margin of B₁, in voxels of the reduced volume.
        margin: Margin of B₂, and of the reference box in training, in voxels of the volume.
        component: ``largest`` hands over only the 3-D component with the largest sum of probabilities.
        vote: ``majority`` of both boxes' masks and stage 1's, or ``mean`` of their probabilities ≥ ½.
        centre_weight: λ₀ of the centre loss.
        centre_normaliser: N of the centre loss: the squared ``diagonal`` of a slice, or all ``voxels``.
        centre_schedule: λ after the first epochs: 0 (``step``) or falling to 0 by the last epoch (``linear``).
        centre_epochs: Epochs of each phase with λ₀.
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
