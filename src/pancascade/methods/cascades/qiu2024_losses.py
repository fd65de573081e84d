"""Losses of Qiu et al. 2024 by the settings: L_seg1, L_seg2 of stage 2's maps, and L_isb."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pancascade.methods.cascades.class_probabilities import compose_classes, compose_two_classes
from pancascade.methods.cascades.protocol import is_any
from pancascade.methods.cascades.qiu2024_settings import Qiu2024Settings
from pancascade.methods.losses import (
    SharedBoundaryEncoder,
    bce_iou_loss,
    bce_loss,
    dice_loss,
    pretrain_boundary_encoder,
    second_stage_loss,
    shared_boundary_loss,
)


def first_loss(logits: Tensor, organ: Tensor, *, settings: Qiu2024Settings) -> Tensor:
    """Return L_seg1 (scalar) of stage 1's logits and reference masks, both (B, 1, H, W) (methods.md §A2)."""
    loss = dice_loss(torch.sigmoid(logits), organ)
    return loss if settings.first_loss == "dice" else loss + bce_loss(logits, organ)


def second_loss(maps: Sequence[Tensor], reference: Tensor, *, settings: Qiu2024Settings) -> Tensor:
    """Return L_seg2 (scalar) of stage 2's logit maps and one reference (methods.md §A2).

    Args:
        maps: Supervised maps, (B, 1, H, W) each; one map without deep supervision.
        reference: Masks on the same grid, (B, 1, H, W).
        settings: Settings of the cascade.
    """
    if len(maps) == 1:
        return bce_iou_loss(maps[0], reference)
    return second_stage_loss(
        maps[0], maps[1:], reference, wbce=settings.weighted_bce, weights=settings.deep_supervision
    )


def boundary_loss(
    first: Tensor,
    second: Tensor,
    organ: Tensor,
    target: Tensor,
    *,
    settings: Qiu2024Settings,
    encoder: SharedBoundaryEncoder | None,
) -> Tensor:
    """Return L_isb (scalar) of both stages' probabilities (Eqs. 14–16, methods.md §A2).

    Args:
        first: Stage 1's probabilities of the organ, (B, 1, H, W).
        second: Stage 2's probabilities of the target on the canvas, (B, 1, H, W).
        organ: Reference masks of the organ, (B, 1, H, W).
        target: Reference masks of the target, (B, 1, H, W).
        settings: Settings of the cascade.
        encoder: Fitted encoder of the form ``encoder``; None for other forms.
    """
    if settings.one_target:
        classes, reference = compose_two_classes(second), target[:, 0].long()
    else:
        classes = compose_classes(first, second)
        reference = (torch.maximum(organ, target) + target)[:, 0].long()
    return shared_boundary_loss(
        classes,
        reference,
        form=settings.boundary_form,
        neighbourhood=settings.boundary_neighbourhood,
        count_frame=settings.boundary_counts_frame,
        encoder=encoder,
    )


def fit_boundary_encoder(
    encoder: SharedBoundaryEncoder, labels: Tensor, *, settings: Qiu2024Settings, seed: int
) -> None:
    """Fit the learned boundary measure to reference label maps (methods.md §A2).

    Args:
        encoder: Encoder, fitted in place.
        labels: (N, H, W) integer, ids of `Label`.
        settings: Settings of the cascade.
        seed: Seed of the order of the maps.
    """
    target = is_any(labels, settings.target)[:, 0].long()
    classes = target if settings.one_target else target + is_any(labels, settings.organ)[:, 0].long()
    encoder.requires_grad_(True)
    pretrain_boundary_encoder(
        encoder,
        classes.to(next(encoder.parameters()).device),
        steps=settings.boundary_encoder_steps,
        learning_rate=1e-2,
        seed=seed,
        neighbourhood=settings.boundary_neighbourhood,
        count_frame=settings.boundary_counts_frame,
    )
    encoder.zero_grad()
