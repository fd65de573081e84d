"""Localization by stage 1: boxes without margin, and its own mask, as in the papers' tables.

L-SNet's mIoU (Tables 3 and 4) is over slices; Zhao et al.'s recall and IoU of B₁ and B₂ (Table 2) and stage-1 DSC
(Table 1) are over volumes. A row is one slice or one volume, of any method.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from pancascade.evaluation.statistic import Statistic, statistic_of
from pancascade.imaging.volume import Box
from pancascade.metrics import BoxOverlap, Region, box_overlap, confusion

OWN_GRID, IMAGE_GRID = "stage 1's grid", "full grid"
"""Grids on which stage 1's mask is compared: its training grid and, if different, the grid of the images."""


@dataclass(frozen=True)
class LocalizationRow:
    """Stage 1's localization in one slice or volume that shows the target.

    Attributes:
        case: Name of the slice or volume.
        patient: Patient of the slice or volume.
        boxes: Recall and IoU of each of stage 1's boxes, by name; both 0 if it found nothing.
        dice: DSC of stage 1's own mask, by grid of comparison.
    """

    case: str
    patient: str
    boxes: Mapping[str, BoxOverlap]
    dice: Mapping[str, float] = field(default_factory=dict)


def localization_row(
    boxes: Mapping[str, Box | Region | None],
    true: Box | Region,
    *,
    case: str,
    patient: str,
    masks: Mapping[str, tuple[NDArray[Any], NDArray[Any]]] | None = None,
) -> LocalizationRow:
    """Compare stage 1's boxes with the reference box.

    Args:
        boxes: Predicted boxes by name, without margins that are not part of the method; None for nothing found.
        true: Smallest box around the target, on the same grid.
        case: Name of the slice or volume.
        patient: Patient of the slice or volume.
        masks: Predicted and reference mask of stage 1 by grid, each pair of one shape.
    """
    overlaps = {name: box_overlap(box, true) for name, box in boxes.items()}
    dice = {grid: confusion(found, wanted).dice for grid, (found, wanted) in (masks or {}).items()}
    return LocalizationRow(case, patient, overlaps, dice)


def box_iou_table(rows: Sequence[LocalizationRow], *, resamples: int = 10_000, seed: int = 0) -> dict[str, Statistic]:
    """Return mean, interval, standard deviation and extremes of every number of the rows.

    Args:
        rows: Rows of one part, or of one fold.
        resamples: Number of resamples of the bootstrap over patients.
        seed: Seed of the bootstrap.

    Returns:
        Statistics by ``NAME recall``, ``NAME IoU`` for each box and ``DSC, GRID`` for each grid, in this order.

    Source: L-SNet, Tables 3–4 (mIoU); Zhao et al. 2019, Tables 1–2.
    """
    columns: dict[str, dict[int, float]] = {}
    for place, row in enumerate(rows):
        for name, overlap in row.boxes.items():
            columns.setdefault(f"{name} recall", {})[place] = overlap.recall
            columns.setdefault(f"{name} IoU", {})[place] = overlap.iou
        for grid, dice in row.dice.items():
            columns.setdefault(f"DSC, {grid}", {})[place] = dice
    return {
        name: statistic_of(
            list(values.values()), [rows[place].patient for place in values], resamples=resamples, seed=seed
        )
        for name, values in columns.items()
    }
