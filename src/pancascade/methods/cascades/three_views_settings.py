"""Settings of Fixed-point and RSTN."""

from typing import Literal

from pydantic import Field, field_validator

from pancascade.methods.cascades.slice_windows import View
from pancascade.methods.cascades.vote import VoteRule
from pancascade.methods.networks import NetworkSettings, OneMapNetwork
from pancascade.settings import Settings


class ThreeViewsSettings(Settings):
    """Settings of Fixed-point (``handover: crop``) and RSTN (``saliency``).

    Attributes:
        first: Stage 1's network, on whole slices; it has as many input and output channels as ``slices``.
        second: Stage 2's network, on crops of any size, which are not resized.
        target: Target of both stages: ``pancreas`` with any tumour in it, or the ``tumour`` alone.
        views: Planes; each has its own network in both stages.
        slices: Number of neighbouring slices that a network segments at once.
        handover: ``saliency`` multiplies stage 2's input by S(P), ``crop`` only cuts its box.
        margin: Border around the box, in voxels of the volume.
        margins: ``random``: training varies the border, each side up to twice as wide; ``fixed``: constant.
        vote: Vote over the views: ``majority``, or ``mean`` of their probabilities ≥ ½.
        rounds: Largest number of rounds of stage 2 at test time, each with the boxes and P of the previous one.
        agreement: Dice of two successive masks at which the rounds end.
        first_weight: Weight of stage 1's loss if both stages are trained.
        second_weight: Weight of stage 2's loss if both stages are trained.
        slices_per_volume: Windows per view and volume in an epoch, drawn again each epoch; None for all with target.
        windows_per_step: Windows of a view per optimiser step.
    """

    kind: Literal["three_views"] = "three_views"
    first: OneMapNetwork = NetworkSettings(name="fcn8s")
    second: OneMapNetwork = NetworkSettings(name="fcn8s")
    target: Literal["pancreas", "tumour"] = "pancreas"
    views: tuple[View, ...] = Field(default=("axial", "coronal", "sagittal"), min_length=1)
    slices: int = Field(default=3, ge=1, le=9)
    handover: Literal["saliency", "crop"] = "crop"
    margin: int = Field(default=20, ge=0)
    margins: Literal["fixed", "random"] = "random"
    vote: VoteRule = "majority"
    rounds: int = Field(default=10, ge=1, le=100)
    agreement: float = Field(default=0.95, gt=0, le=1)
    first_weight: float = Field(default=1 / 3, ge=0)
    second_weight: float = Field(default=2 / 3, ge=0)
    slices_per_volume: int | None = Field(default=None, ge=1)
    windows_per_step: int = Field(default=1, ge=1)

    @field_validator("views")
    @classmethod
    def _each_view_once(cls, views: tuple[View, ...]) -> tuple[View, ...]:
        if len(set(views)) < len(views):
            raise ValueError(f"names a view twice: {', '.join(views)}")
        return views

    @field_validator("slices")
    @classmethod
    def _one_slice_is_the_middle_one(cls, slices: int) -> int:
        if slices % 2 == 0:
            raise ValueError(f"must be odd, got {slices}")
        return slices
