"""How well stage 1 locates: boxes without margin, and its own mask, as the papers' tables count them.

L-SNet's mIoU (Tables 3 and 4) is over slices; Zhao et al.'s recall and IoU of B₁ and B₂ (Table 2) and stage-1 DSC
(Table 1) are over volumes. A row here is one slice or one volume; nothing knows how it was found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from pancascade.evaluation.statistic import Statistic, statistic_of
from pancascade.imaging.volume import Box
from pancascade.metrics import BoxOverlap, Region, box_overlap, confusion

OWN_GRID, IMAGE_GRID = "stage 1's grid", "full grid"
"""Where stage 1's mask is compared: as it learned it and, if that is another, on the grid of the images."""


@dataclass(frozen=True)
class LocalizationRow:
    """Stage 1 against the target of one slice or volume that shows it.

    Attributes:
        case: Name of the slice or volume.
        patient: Whose it is.
        boxes: Recall and IoU of each of stage 1's boxes, by its name; both 0 where it found nothing.
        dice: DSC of stage 1's own mask, by the grid on which it is compared.
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
    """Compare stage 1's boxes with the true one.

    Args:
        boxes: Found, by name, without any margin that is not part of the method's own box; None for nothing found.
        true: Smallest box around the target, on the same grid.
        case: Name.
        patient: Whose it is.
        masks: Found and true mask of stage 1 by the name of their grid, each pair of one shape.
    """
    overlaps = {name: box_overlap(box, true) for name, box in boxes.items()}
    dice = {grid: confusion(found, wanted).dice for grid, (found, wanted) in (masks or {}).items()}
    return LocalizationRow(case, patient, overlaps, dice)


def box_iou_table(rows: Sequence[LocalizationRow], *, resamples: int = 10_000, seed: int = 0) -> dict[str, Statistic]:
    """Mean, interval, standard deviation, extremes of every number of the rows.

    Args:
        rows: Of one part, or of one fold.
        resamples: Of the bootstrap over patients.
        seed: Of the bootstrap.

    Returns:
        By ``NAME recall``, ``NAME IoU`` for each box and ``DSC, GRID`` for each grid, in their order.

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
