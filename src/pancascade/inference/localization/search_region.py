"""Score how plausible stage 1's location is, and select the region in which stage 2 works."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pancascade.imaging.postprocessing import main_organ
from pancascade.imaging.postprocessing.components import ALL_26
from pancascade.imaging.volume import Box, at_least, highest
from pancascade.results.location import Location

CONFIDENT = 0.5
"""Least confidence for the usual margin around a location."""

PLAUSIBLE_PANCREAS_ML = (15.0, 250.0)

ORDINARY_PANCREAS_ML = 35.0
"""Volume from which the size is plausible: the smallest of 45 training patients of PANORAMA has 35.3 mL."""

FULL_PEAK = 0.8
"""A located organ reaches this probability at least in one voxel."""

POSITION = (0.524, 0.436)
"""Usual centre of the pancreas in a slice, as a share of the body from right to left and from front to back."""

POSITION_SPREAD = (0.068, 0.056)
"""Standard deviation of `POSITION`, over 443 slices of 51 patients of NIH Pancreas-CT."""

LEAST_EXTENT_MM = 60.0
"""A scan that is shorter along the body may not hold a whole pancreas."""

WIDER_THRESHOLD = 0.2
WIDER_MARGIN_MM = 10.0


@dataclass(frozen=True)
class Stage1Result:
    """Stage 1's probability map of the organ on its own grid.

    Attributes:
        probability_map: (K, H, W) in [0, 1], from the feet to the head, front to back, the patient's right to left.
        spacing_mm: Voxel size along these axes.
        body: First and last row, first and last column of the body on the grid; None if only a part of it is seen.
        is_mask: Whether the probability map covers the organ, so that its volume can be scored; keypoints do not.
        extent_mm: Extent of the scan along the body, if the probability map shows less.
    """

    probability_map: NDArray[np.floating]
    spacing_mm: tuple[float, float, float]
    body: tuple[tuple[float, float], tuple[float, float]] | None
    is_mask: bool = True
    extent_mm: float = 0.0

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel."""
        return float(np.prod(self.spacing_mm)) / 1000


@dataclass(frozen=True)
class SearchRegion:
    """The region in which stage 2 works.

    Attributes:
        probability_map: Map for the hand-over, (K, H, W) in [0, 1].
        mask: Mask for the boxes, (K, H, W); None takes the probability map at ½.
        location: Confidence of the probability map; None where it cannot be scored.
    """

    probability_map: NDArray[np.floating]
    mask: NDArray[np.bool_] | None = None
    location: Location | None = None


def select_search_region(stage1_result: Stage1Result, *, fallback_search: bool, one_organ: bool = True) -> SearchRegion:
    """Select stage 1's organ in one place or, where nothing reaches ½, a wider region around its best candidate below.

    A prediction of ½ or more is always kept: on whole CTs of other hospitals a wider search gave worse results.

    Args:
        stage1_result: Result of stage 1; its values are changed in place.
        fallback_search: Whether a candidate below ½ is used where nothing reaches ½.
        one_organ: Whether only one organ in one place is kept, or all that reaches ½.
    """
    location = score_plausibility(stage1_result)
    usual = (
        main_organ(stage1_result.probability_map, spacing_mm=stage1_result.spacing_mm)
        if one_organ
        else at_least(stage1_result.probability_map, 0.5)
    )
    if fallback_search and not usual.any() and (wider := best_candidate(stage1_result)).any():
        found = location.model_copy(
            update={"level": "wider", "candidates": count_components(wider), "margin_mm": WIDER_MARGIN_MM}
        )
        return SearchRegion(
            stage1_result.probability_map,
            widened(wider, spacing_mm=stage1_result.spacing_mm, margin_mm=WIDER_MARGIN_MM),
            found,
        )
    if one_organ:
        stage1_result.probability_map[~usual] = 0
    return SearchRegion(
        stage1_result.probability_map, None, location.model_copy(update={"candidates": count_components(usual)})
    )


def score_plausibility(stage1_result: Stage1Result) -> Location:
    """Score how plausibly a probability map shows the pancreas, with the reasons against it.

    The confidence is the product of four factors in [0, 1]: the peak over `FULL_PEAK`; the largest component's share;
    the volume over the ordinary 35 mL, or 250 mL over the volume; and exp(2.5 − d) for a centre that lies d > 2.5
    standard deviations from its usual place in the body.
    """
    likely = at_least(stage1_result.probability_map, 0.5)
    box = Box.around(likely)
    peak, mass_ml = (
        float(highest(stage1_result.probability_map)),
        float(stage1_result.probability_map.sum(dtype=np.float64)) * stage1_result.voxel_ml,
    )
    if box is None:
        return Location(confidence=0.0, reasons=("nothing_located",), peak=peak, mass_ml=mass_ml)
    components, count = ndimage.label(likely[box.slices], structure=ALL_26)
    inside = stage1_result.probability_map[box.slices].astype(np.float32)
    weights = ndimage.sum_labels(inside, components, index=np.arange(1, count + 1))
    largest = int(np.argmax(weights)) + 1
    share = float(weights.max() / weights.sum())
    organ_ml = float(np.count_nonzero(likely[box.slices])) * stage1_result.voxel_ml
    centre = ndimage.center_of_mass(inside, components, largest)
    position = _position(stage1_result, tuple(float(c + start) for c, start in zip(centre, box.start, strict=True)))
    factors = {
        "probability_low": min(1.0, peak / FULL_PEAK),
        "organ_scattered": share,
        **_size_factor(stage1_result, organ_ml),
        "position_unusual": 1.0 if stage1_result.body is None else _position_factor(position),
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


def best_candidate(stage1_result: Stage1Result) -> NDArray[np.bool_]:
    """Return the main organ at `WIDER_THRESHOLD` as a mask (K, H, W); all False if nothing reaches it."""
    return main_organ(stage1_result.probability_map, spacing_mm=stage1_result.spacing_mm, threshold=WIDER_THRESHOLD)


def widened(mask: NDArray[np.bool_], *, spacing_mm: tuple[float, float, float], margin_mm: float) -> NDArray[np.bool_]:
    """Return a mask (K, H, W) widened by a margin, with a box filter along each axis."""
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


def count_components(mask: NDArray[np.bool_]) -> int:
    """Return the number of connected components."""
    box = Box.around(mask)
    return 0 if box is None else int(ndimage.label(mask[box.slices], structure=ALL_26)[1])


def _size_factor(stage1_result: Stage1Result, organ_ml: float) -> dict[str, float]:
    if not stage1_result.is_mask:
        return {}
    extent_mm = max(stage1_result.extent_mm, stage1_result.probability_map.shape[0] * stage1_result.spacing_mm[0])
    short = stage1_result.body is None or extent_mm < LEAST_EXTENT_MM
    return {
        "organ_small": 1.0 if short else min(1.0, organ_ml / ORDINARY_PANCREAS_ML),
        "organ_large": min(1.0, PLAUSIBLE_PANCREAS_ML[1] / organ_ml),
    }


def _position(stage1_result: Stage1Result, centre: tuple[float, ...]) -> tuple[float, float, float]:
    """Return the position right to left, front to back, low to high, each 0…1 of the body, or of the grid."""
    slices, rows, columns = stage1_result.probability_map.shape
    top, left = stage1_result.body or ((0.0, float(rows)), (0.0, float(columns)))
    across = (centre[2] + 0.5 - left[0]) / (left[1] - left[0])
    back = (centre[1] + 0.5 - top[0]) / (top[1] - top[0])
    return round(across, 3), round(back, 3), round((centre[0] + 0.5) / slices, 3)


def _position_factor(position: tuple[float, float, float]) -> float:
    off: list[float] = [
        (found - usual) / spread for found, usual, spread in zip(position[:2], POSITION, POSITION_SPREAD, strict=True)
    ]
    return math.exp(min(0.0, 2.5 - math.hypot(*off)))
