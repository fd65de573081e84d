from pancascade.methods.losses.boundary_encoder import SharedBoundaryEncoder, pretrain_boundary_encoder
from pancascade.methods.losses.overlap import bce_iou_loss, bce_loss, dice_loss, iou_loss
from pancascade.methods.losses.segmentation import SEGMENTATION_LOSSES, segmentation_loss
from pancascade.methods.losses.shared_boundary import shared_boundary_loss, shared_boundary_matrix
from pancascade.methods.losses.structure import (
    boundary_weight,
    combine_second_stage,
    deep_supervision_weights,
    second_stage_loss,
    structure_loss,
    weighted_bce_loss,
    weighted_iou_loss,
)
from pancascade.methods.losses.total import total_loss

__all__ = [
    "SEGMENTATION_LOSSES",
    "SharedBoundaryEncoder",
    "bce_iou_loss",
    "bce_loss",
    "boundary_weight",
    "combine_second_stage",
    "deep_supervision_weights",
    "dice_loss",
    "iou_loss",
    "pretrain_boundary_encoder",
    "second_stage_loss",
    "segmentation_loss",
    "shared_boundary_loss",
    "shared_boundary_matrix",
    "structure_loss",
    "total_loss",
    "weighted_bce_loss",
    "weighted_iou_loss",
]
