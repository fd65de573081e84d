"""Attribution of a cascade's errors: to stage 1, to the crop, and to stage 2."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancascade.imaging.volume import Box
from pancascade.metrics import Interval, Resamples, box_overlap, confusion


@dataclass(frozen=True)
class Attribution:
    """Errors of one case by stage. The case shows the target.

    Attributes:
        case: Name of the scan or slice.
        patient: Patient of the case.
        dice: Dice of the whole cascade.
        true_box_dice: Dice with the reference box for stage 2: the upper bound of a better stage 1.
        box_recall: Share of the target's box inside stage 2's box.
        box_iou: IoU of both boxes. Stage 2's box has a margin, the target's has none.
        lost_share: Share of the target's voxels outside every box, which stage 2 cannot recover.
        lost_voxels: Number of these voxels.
    """

    case: str
    patient: str
    dice: float
    true_box_dice: float
    box_recall: float
    box_iou: float
    lost_share: float
    lost_voxels: int


def attribute(
    prediction: NDArray[Any],
    true_box_prediction: NDArray[Any],
    reference: NDArray[Any],
    covered: NDArray[Any],
    *,
    case: str,
    patient: str,
) -> Attribution:
    """Attribute the error of one case to the stages.

    Args:
        prediction: Mask of the target, (H, W) or (I, J, K).
        true_box_prediction: Mask of stage 2 in the reference box.
        reference: Reference mask, not empty.
        covered: Region of stage 2.
        case: Name of the case.
        patient: Patient of the case.

    Raises:
        ValueError: The reference is empty, or the shapes differ.
    """
    if not reference.any():
        raise ValueError(f"{case}: the reference is empty, so there is nothing that a stage could lose")
    looked = Box.around(covered)
    boxes = box_overlap(looked, Box.around(reference))
    inside = int(np.count_nonzero(reference.astype(bool) & covered.astype(bool)))
    total = int(np.count_nonzero(reference))
    return Attribution(
        case=case,
        patient=patient,
        dice=confusion(prediction, reference).dice,
        true_box_dice=confusion(true_box_prediction, reference).dice,
        box_recall=boxes.recall,
        box_iou=boxes.iou,
        lost_share=1 - inside / total,
        lost_voxels=total - inside,
    )


@dataclass(frozen=True)
class AttributionSummary:
    """Means over cases with 95 % intervals over patients.

    Attributes:
        cases: Number of cases.
        missed: Number of cases whose box contains nothing of the target.
        dice: Dice of the whole cascade.
        true_box_dice: The upper bound with reference boxes.
        box_recall: Recall of stage 1's boxes.
        box_iou: IoU of stage 1's boxes.
        lost_share: Share of the target's voxels outside every box.
        first_stage_share: Share of the total error Σ (1 − Dice) that reference boxes would remove, in [0, 1]; 0 if the
            model is better with its own boxes, NaN without error.
        second_stage_share: The rest.
    """

    cases: int
    missed: int
    dice: Interval
    true_box_dice: Interval
    box_recall: Interval
    box_iou: Interval
    lost_share: Interval
    first_stage_share: Interval
    second_stage_share: Interval


def summarise_attribution(
    cases: Sequence[Attribution], *, resamples: int = 10_000, seed: int = 0
) -> AttributionSummary:
    """Average the attribution of many cases.

    Raises:
        ValueError: There is no case.
    """
    drawn = Resamples.draw([case.patient for case in cases], resamples=resamples, seed=seed)
    columns = {
        name: np.array([getattr(case, name) for case in cases])
        for name in ("dice", "true_box_dice", "box_recall", "box_iou", "lost_share")
    }
    error = 1 - columns["dice"]
    first, second = columns["true_box_dice"] - columns["dice"], 1 - columns["true_box_dice"]
    return AttributionSummary(
        cases=len(cases),
        missed=sum(case.lost_share == 1 for case in cases),
        **{name: drawn.ratio_interval(column) for name, column in columns.items()},
        first_stage_share=_as_share(drawn.ratio_interval(first, error)),
        second_stage_share=_as_share(drawn.ratio_interval(second, error)),
    )


def _as_share(ratio: Interval) -> Interval:
    """Return the ratio clipped to [0, 1], as harmful reference boxes remove no error; NaN stays."""
    return Interval(*(float(np.clip(value, 0, 1)) for value in ratio))
