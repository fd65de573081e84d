from pancascade.losses.boundary_encoder import SharedBoundaryEncoder, pretrain_boundary_encoder
from pancascade.losses.overlap import bce_iou_loss, bce_loss, dice_loss, iou_loss
from pancascade.losses.segmentation import SegmentationLoss, segmentation_loss
from pancascade.losses.shared_boundary import (
    compose_classes,
    compose_two_classes,
    shared_boundary_loss,
    shared_boundary_matrix,
)
from pancascade.losses.structure import (
    boundary_weight,
    combine_second_stage,
    deep_supervision_weights,
    second_stage_loss,
    structure_loss,
    weighted_bce_loss,
    weighted_iou_loss,
)
from pancascade.losses.total import total_loss

__all__ = [
    "SegmentationLoss",
    "SharedBoundaryEncoder",
    "bce_iou_loss",
    "bce_loss",
    "boundary_weight",
    "combine_second_stage",
    "compose_classes",
    "compose_two_classes",
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
