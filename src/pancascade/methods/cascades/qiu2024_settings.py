"""Settings of the cascade of Qiu et al. 2024."""

from typing import Literal, Self

from pydantic import Field, model_validator

from pancascade.methods.losses.shared_boundary import BoundaryForm, Neighbourhood
from pancascade.methods.losses.structure import DeepSupervision, WeightedBce
from pancascade.methods.networks import MapNetwork, NetworkSettings, OneMapNetwork
from pancascade.methods.targets import NestedTargets
from pancascade.settings import UNetSize


class Qiu2024Settings(NestedTargets):
    """All settings of the method; the defaults are those of methods.md §A.

    Attributes:
        first: Stage 1's network; its single logit map is P before the sigmoid.
        second: Stage 2's network; several logit maps (the last is the final prediction) or one.
        handover: ``saliency`` joins the stages (ablation switch T), ``crop`` keeps them separate (switch P).
        margin: K, in pixels of the canvas.
        margins: ``random``: training varies the margin, each side up to 2K (RSTN); ``fixed``: K, as in tests.
        crop_input: Boxes enter stage 2 ``resized`` to `crop_size`, or ``unresized``: in the canvas's own pixels, padded
            with zeros below and to the right to multiples of 16 and at least 64, in training to one size per batch.
            Predictions in the padding are ignored.
        crop_size: Height and width of stage 2's input if boxes are resized.
        crop_reference: Source of the crops in phase J: the first stage, or the second if both have the same target.
        first_scale: Factor by which the canvas is scaled for stage 1.
        first_loss: Eq. 10, or with binary cross-entropy added, which also trains slices without target.
        second_loss: Whether L_seg2 is computed in the ``crop``, or on the ``canvas`` with stage 2's maps pasted: then
            target outside of the box counts.
        second_start: ``first_stage``: stage 2 is initialised with the weights of stage 1 when its training starts (the
            other variant of ablation switch T); ``random``: random weights.
        weighted_bce: Variant of L_wbce.
        deep_supervision: Variant of Eq. 13.
        boundary_form: Form of the shared-boundary matrix.
        boundary_neighbourhood: 4 or 8 neighbours.
        boundary_counts_frame: Whether the image frame counts as perimeter.
        boundary_encoder_steps: Training steps of the form ``encoder`` before the main training.
        helper_organs: Ours: further organs that stage 1 learns, each with its own map, if a label map outlines them;
            they do not reach stage 2.
        helper_weight: Weight of their cross-entropy.
        presence: Ours: whether stage 1 also predicts that a slice shows the organ; P is then the product of both.
        presence_weight: Weight of the cross-entropy of that prediction.
        boundary_in_s: Whether phase S uses the boundary loss; ``detached``: without gradient to stage 1.
        alpha: Weight of stage 2's loss, Eq. 17.
        beta: Weight of the shared-boundary loss, Eq. 17.
        recurrence_rounds: Number of rounds at test time in which stage 2's probabilities replace stage 1's; 0 for one
            pass; only if both stages have the same target (RSTN).
    """

    kind: Literal["qiu2024"] = "qiu2024"
    first: OneMapNetwork = NetworkSettings(name="multiscale_unet")
    second: MapNetwork = NetworkSettings(name="focusing_net")
    handover: Literal["saliency", "crop"] = "saliency"
    margin: int = Field(default=20, ge=0)
    margins: Literal["random", "fixed"] = "random"
    crop_input: Literal["resized", "unresized"] = "resized"
    crop_size: UNetSize = (320, 320)
    crop_reference: Literal["first_stage", "second_stage"] = "first_stage"
    first_scale: float = Field(default=1.0, gt=0, le=4)
    first_loss: Literal["dice", "dice_bce"] = "dice"
    second_loss: Literal["crop", "canvas"] = "crop"
    second_start: Literal["random", "first_stage"] = "random"
    weighted_bce: WeightedBce = "weighted"
    deep_supervision: DeepSupervision = "code"
    helper_organs: tuple[Literal["liver", "kidneys", "spleen", "stomach", "duodenum"], ...] = ()
    helper_weight: float = Field(default=0.3, ge=0)
    presence: bool = False
    presence_weight: float = Field(default=0.2, ge=0)
    boundary_form: BoundaryForm = "total_variation"
    boundary_neighbourhood: Neighbourhood = 4
    boundary_counts_frame: bool = True
    boundary_encoder_steps: int = Field(default=1000, ge=1, le=1_000_000)
    boundary_in_s: Literal["off", "detached"] = "off"
    alpha: float = Field(default=0.9, ge=0)
    beta: float = Field(default=0.4, ge=0)
    recurrence_rounds: int = Field(default=0, ge=0, le=100)

    @model_validator(mode="after")
    def _both_stages_find_the_same_where_that_is_needed(self) -> Self:
        if self.one_target:
            return self
        if self.crop_reference == "second_stage":
            raise ValueError("crop_reference: second_stage is for cascades whose stages have the same target")
        if self.recurrence_rounds > 0:
            raise ValueError("recurrence_rounds is for cascades whose stages have the same target")
        return self
