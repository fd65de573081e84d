"""Is what stage 1 located a pancreas? What speaks against it, and where stage 2 shall look."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pancascade.imaging.postprocessing import main_organ
from pancascade.imaging.postprocessing.components import ALL_26
from pancascade.imaging.volume import Box
from pancascade.results.location import Location

SURE = 0.5
"""Least confidence with which the usual region is taken."""

PLAUSIBLE_PANCREAS_ML = (15.0, 250.0)

ORDINARY_PANCREAS_ML = 35.0
"""Volume from which size is no reason for doubt: the smallest of 45 training patients of PANORAMA has 35.3 mL."""

FULL_PEAK = 0.8
"""A located organ reaches this probability somewhere."""

POSITION = (0.524, 0.436)
"""Usual centre of the pancreas in a slice of the body, from the patient's right to left and from front to back."""

POSITION_SPREAD = (0.068, 0.056)
"""Standard deviation of that, over 443 slices of 51 patients of NIH Pancreas-CT."""

LEAST_EXTENT_MM = 60.0
"""A scan that is shorter along the body need not hold a whole pancreas."""

WIDER_THRESHOLD = 0.2
WIDER_MARGIN_MM = 10.0


@dataclass(frozen=True)
class Sight:
    """Stage 1's belief about the organ on its own grid.

    Attributes:
        belief: (K, H, W) in [0, 1], from the feet to the head, front to back, the patient's right to left.
        spacing_mm: Along these axes.
        body: First and last row, first and last column of the body on the grid; None where only a part of it is seen.
        is_mask: Whether the belief covers the organ, so that its volume can be judged; keypoints do not.
        extent_mm: Of the scan along the body, if that is more than the belief shows.
    """

    belief: NDArray[np.floating]
    spacing_mm: tuple[float, float, float]
    body: tuple[tuple[float, float], tuple[float, float]] | None
    is_mask: bool = True
    extent_mm: float = 0.0

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel."""
        return float(np.prod(self.spacing_mm)) / 1000


@dataclass(frozen=True)
class Aim:
    """Where stage 2 shall look.

    Attributes:
        belief: Handed over, (K, H, W) in [0, 1].
        mask: Where the boxes go, (K, H, W), if not where the belief is at least ½.
        location: What the belief was worth; None where nothing could be judged.
    """

    belief: NDArray[np.floating]
    mask: NDArray[np.bool_] | None = None
    location: Location | None = None


def aim_at(sight: Sight, *, rescue: bool, one_organ: bool = True) -> Aim:
    """Stage 1's organ in one place or, where nothing reaches ½, its best candidate below that with more around it.

    What was found is never traded for something else: on whole CTs of other hospitals a wider search ended worse.

    Args:
        sight: What stage 1 believes; its values are changed in place.
        rescue: Whether a candidate below ½ is taken where nothing reaches it, if there is one.
        one_organ: Whether only one organ in one place is handed over, or all that reaches ½.
    """
    location = judge(sight)
    usual = main_organ(sight.belief, spacing_mm=sight.spacing_mm) if one_organ else sight.belief >= 0.5
    if rescue and not usual.any() and (wider := best_candidate(sight)).any():
        found = location.model_copy(
            update={"level": "wider", "candidates": count_pieces(wider), "margin_mm": WIDER_MARGIN_MM}
        )
        return Aim(sight.belief, widened(wider, spacing_mm=sight.spacing_mm, margin_mm=WIDER_MARGIN_MM), found)
    if one_organ:
        sight.belief[~usual] = 0
    return Aim(sight.belief, None, location.model_copy(update={"candidates": count_pieces(usual)}))


def judge(sight: Sight) -> Location:
    """How surely a belief shows the pancreas, and all that speaks against it.

    The confidence is the product of four factors in [0, 1]: the peak over `FULL_PEAK`; the heaviest piece's share; the
    volume over the ordinary 35 mL, or 250 mL over the volume; and exp(2.5 − d) for a centre that lies d > 2.5 standard
    deviations from its usual place in the body.
    """
    likely = sight.belief >= 0.5
    box = Box.around(likely)
    peak, mass_ml = float(sight.belief.max()), float(sight.belief.sum(dtype=np.float64)) * sight.voxel_ml
    if box is None:
        return Location(confidence=0.0, reasons=("nothing_located",), peak=peak, mass_ml=mass_ml)
    pieces, count = ndimage.label(likely[box.slices], structure=ALL_26)
    inside = sight.belief[box.slices].astype(np.float32)
    weights = ndimage.sum_labels(inside, pieces, index=np.arange(1, count + 1))
    heaviest = int(np.argmax(weights)) + 1
    share = float(weights.max() / weights.sum())
    organ_ml = float(np.count_nonzero(likely[box.slices])) * sight.voxel_ml
    centre = ndimage.center_of_mass(inside, pieces, heaviest)
    position = _position(sight, tuple(float(c + start) for c, start in zip(centre, box.start, strict=True)))
    factors = {
        "belief_weak": min(1.0, peak / FULL_PEAK),
        "organ_scattered": share,
        **_size_factor(sight, organ_ml),
        "position_unusual": 1.0 if sight.body is None else _position_factor(position),
    }
    return Location(
        confidence=round(float(np.prod(list(factors.values()))), 3),
        reasons=tuple(code for code, factor in factors.items() if factor < 0.8),
        organ_ml=round(organ_ml, 2),
        mass_ml=round(mass_ml, 2),
        peak=round(peak, 3),
        components=count,
        main_share=round(share, 3),
        position=position,
    )


def best_candidate(sight: Sight) -> NDArray[np.bool_]:
    """The heaviest component of what reaches `WIDER_THRESHOLD`, (K, H, W); all False where nothing does."""
    return main_organ(sight.belief, spacing_mm=sight.spacing_mm, threshold=WIDER_THRESHOLD)


def widened(mask: NDArray[np.bool_], *, spacing_mm: tuple[float, float, float], margin_mm: float) -> NDArray[np.bool_]:
    """A mask (K, H, W) and all within a margin of it, by boxes along each axis."""
    box = Box.around(mask)
    if box is None:
        return mask
    wide = box.expand_mm(margin_mm, spacing_mm=spacing_mm).clip(mask.shape)
    grown = mask[wide.slices]
    for axis, step_mm in enumerate(spacing_mm):
        grown = ndimage.maximum_filter1d(grown, 2 * int(np.ceil(margin_mm / step_mm)) + 1, axis=axis, mode="constant")
    result = np.zeros_like(mask)
    result[wide.slices] = grown
    return result


def count_pieces(mask: NDArray[np.bool_]) -> int:
    """Number of separate candidate regions."""
    box = Box.around(mask)
    return 0 if box is None else int(ndimage.label(mask[box.slices], structure=ALL_26)[1])


def _size_factor(sight: Sight, organ_ml: float) -> dict[str, float]:
    if not sight.is_mask:
        return {}
    extent_mm = max(sight.extent_mm, sight.belief.shape[0] * sight.spacing_mm[0])
    short = sight.body is None or extent_mm < LEAST_EXTENT_MM
    return {
        "organ_small": 1.0 if short else min(1.0, organ_ml / ORDINARY_PANCREAS_ML),
        "organ_large": min(1.0, PLAUSIBLE_PANCREAS_ML[1] / organ_ml),
    }


def _position(sight: Sight, centre: tuple[float, ...]) -> tuple[float, float, float]:
    """Right to left, front to back, low to high, each 0…1 of the body, or of the grid."""
    slices, rows, columns = sight.belief.shape
    top, left = sight.body or ((0.0, float(rows)), (0.0, float(columns)))
    across = (centre[2] + 0.5 - left[0]) / (left[1] - left[0])
    back = (centre[1] + 0.5 - top[0]) / (top[1] - top[0])
    return round(across, 3), round(back, 3), round((centre[0] + 0.5) / slices, 3)


def _position_factor(position: tuple[float, float, float]) -> float:
    off: list[float] = [
        (found - usual) / spread for found, usual, spread in zip(position[:2], POSITION, POSITION_SPREAD, strict=True)
    ]
    return math.exp(min(0.0, 2.5 - math.hypot(*off)))
