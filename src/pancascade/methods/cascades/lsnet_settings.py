"""Settings of L-SNet."""

from typing import Literal

from pydantic import Field, field_validator

from pancascade.methods.losses.focal import DiceWeighting, FocalNormaliser, FocalVariant
from pancascade.methods.losses.keypoint_targets import Regions, Spread
from pancascade.methods.networks import NetworkSettings, OneMapNetwork
from pancascade.settings import Settings


class LSNetSettings(Settings):
    """All settings of the method; the defaults are those of methods.md §B.

    Attributes:
        first: L-Net.
        second: S-Net; its regions are sampled at the images' own size.
        target: Target: ``pancreas_with_tumour``, or ``pancreas`` without any tumour (the NIH data have none).
        margin: m, pixels around a region.
        gamma: Decay factor γ of S-Net's supervision of L-Net.
        handover: ``recalibration`` samples between pixels and passes gradients; ``cropping`` rounds the box to
            pixels and passes none (the ablation of Table 2).
        target_gradient: Whether the gradient reaches the box also through the sampled reference (``through``), or only
            through the sampled image (``stopped``).
        loss: ℓ_FD for both networks, or ``bce`` (the ablation of Table 2).
        dice_weighting: Variant of "the sum of Focal and Dice weighted by 0.2".
        dice_weight: Weight of Dice (or of both) in ℓ_FD.
        focal: Variant of the focal loss on a heatmap.
        focal_alpha: α of the focal loss, off by default.
        heatmap_dice: Dice in ℓ_FD of the heatmap: with ``squared`` terms in its denominator its minimum is at p = t, as
            the threshold of the heatmap needs; ``plain`` as in ℓ_FD of the masks.
        heatmap_normaliser: The focal loss of the heatmap is its sum divided by the number of all ``cells``, or of the
            ``positives``.
        sigma: σ of the heatmap in cells.
        spread: ``fixed`` σ, or ``cornernet``: by the size of the region as in CornerNet.
        round_centres: Whether to round the heatmap's centres to whole cells.
        regions: One per ``component`` of the mask and of the heatmap, or one per ``slice``.
        distance_threshold: Least heatmap target of a cell whose distances are trained.
        candidates: Number of highest cells from which training chooses one at random.
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
            raise ValueError(f"must be a localization_net; for a {network.name} as stage 1 use coarse_to_fine")
        return network
