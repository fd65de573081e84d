"""Every choice of L-SNet."""

from typing import Literal

from pydantic import Field, field_validator

from pancascade.methods.losses.focal import DiceWeighting, FocalNormaliser, FocalVariant
from pancascade.methods.losses.keypoint_targets import Regions, Spread
from pancascade.methods.networks import NetworkSettings, OneMapNetwork
from pancascade.settings import Settings


class LSNetSettings(Settings):
    """Every choice of the method; the defaults are those of methods.md §B.

    Attributes:
        first: L-Net.
        second: S-Net; it sees regions at the images' own size.
        target: What is found: ``pancreas`` with any tumour in it, or the pancreas without (the NIH set has none).
        margin: m, pixels around a region.
        gamma: Decay factor γ of S-Net's supervision of L-Net.
        handover: ``recalibration`` samples between pixels and lets gradients through; ``cropping`` rounds the box to
            pixels and lets none (the ablation of Table 2).
        target_gradient: Whether the gradient reaches the box through the sampled reference as well, or through the
            sampled image alone.
        loss: ℓ_FD of both networks, or ``bce`` (the ablation of Table 2).
        dice_weighting: Reading of "the sum of Focal and Dice weighted by 0.2".
        dice_weight: Weight of Dice (or of both) in ℓ_FD.
        focal: Reading of the focal loss on a heatmap.
        focal_alpha: α of the focal loss, off by default.
        heatmap_dice: Dice in ℓ_FD of the heatmap: with ``squared`` terms in its denominator it is least at p = t, as
            the threshold of the heatmap needs; ``plain`` as in ℓ_FD of the masks.
        heatmap_normaliser: The focal loss of the heatmap is its sum over the number of all ``cells``, or of the
            ``positives``.
        sigma: σ of the heatmap in cells.
        spread: ``fixed`` σ, or by the size of the region as in CornerNet.
        round_centres: Put the heatmap's centres on whole cells.
        regions: One a ``component`` of the mask and of the heatmap, or one a ``slice``.
        distance_threshold: Of the heatmap in a cell whose distances are taught.
        candidates: Of so many highest cells one is chosen at random in training.
    """

    kind: Literal["lsnet"] = "lsnet"
    first: NetworkSettings = NetworkSettings(name="localization_net")
    second: OneMapNetwork = NetworkSettings(name="resnet_unet")
    target: Literal["pancreas_with_tumour", "pancreas"] = "pancreas_with_tumour"
    margin: float = Field(default=15.0, ge=0)
    gamma: float = Field(default=0.1, ge=0, le=1)
    handover: Literal["recalibration", "cropping"] = "recalibration"
    target_gradient: Literal["through", "stopped"] = "through"
    loss: Literal["focal_dice", "bce"] = "focal_dice"
    dice_weighting: DiceWeighting = "dice"
    dice_weight: float = Field(default=0.2, ge=0)
    focal: FocalVariant = "soft"
    focal_alpha: float | None = Field(default=None, ge=0, le=1)
    heatmap_dice: Literal["squared", "plain"] = "squared"
    heatmap_normaliser: FocalNormaliser = "cells"
    sigma: float = Field(default=2.0, gt=0)
    spread: Spread = "fixed"
    round_centres: bool = False
    regions: Regions = "component"
    distance_threshold: float = Field(default=0.5, gt=0, le=1)
    candidates: int = Field(default=3, gt=0)

    @field_validator("first")
    @classmethod
    def _first_is_a_localization_net(cls, network: NetworkSettings) -> NetworkSettings:
        if network.name != "localization_net":
            raise ValueError(f"must be a localization_net; for a {network.name} as first stage take coarse_to_fine")
        return network
