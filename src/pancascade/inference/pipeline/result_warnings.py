"""Warnings about a result, as codes and sentences."""

from collections.abc import Iterator

import numpy as np

from pancascade.imaging.volume import Box, Volume
from pancascade.inference.localization.search_region import CONFIDENT, PLAUSIBLE_PANCREAS_ML
from pancascade.labels import Label
from pancascade.messages.notices import Notice
from pancascade.results.location import Location

AGAINST = {
    "nothing_located": "no voxel of the scan reaches a pancreas probability of 0.5",
    "probability_low": "its probability stays low",
    "organ_scattered": "it lies in separate components",
    "organ_small": "it is smaller than a pancreas",
    "organ_large": "it is larger than a pancreas",
    "position_unusual": "it lies where a pancreas rarely is",
    "steps_disagree": "the model's networks disagree about it",
}
"""Reason for low confidence in a location, by code."""


def result_warnings(mask: Volume, *, organ_given: bool = False) -> list[Notice]:
    """Return the warnings about a mask: no pancreas, an implausible volume, or a pancreas cut off by the scan.

    Args:
        mask: Labels on the scan's grid.
        organ_given: Whether the pancreas was given, so that its volume was checked already.
    """
    inside = Box.around(mask.voxels)
    if inside is None:
        sentence = "No pancreas was found: the scan may not show it, or the model missed it. Look at the scan."
        return [Notice(code="pancreas_not_found", about="result", sentence=sentence)]
    counts = np.bincount(mask.voxels[inside.slices].ravel(), minlength=len(Label))
    organ_ml = float(counts[Label.PANCREAS] + counts[Label.TUMOUR]) * mask.voxel_volume_ml
    return [*(() if organ_given else _implausible(organ_ml)), *_cut_off(mask, inside)]


def location_notices(location: Location | None) -> list[Notice]:
    """Return the confidence of the location, the reasons against it, and how the search was widened.

    Args:
        location: None where the model has no stage 1.
    """
    return [] if location is None else [*_located(location), *_searched(location)]


def _located(location: Location) -> Iterator[Notice]:
    values = {"confidence": location.confidence, "organ_ml": location.organ_ml, "components": location.components}
    if location.expected_dice is not None:
        values["expected_dice"] = location.expected_dice
    if location.confidence >= CONFIDENT:
        yield Notice(
            code="located",
            severity="information",
            about="location",
            sentence=f"The pancreas was located with confidence {location.confidence:.2f}{_expected(location)}.",
            values=values,
        )
        return
    against = [AGAINST[code] for code in location.reasons] or ["several signs are slightly unusual"]
    yield Notice(
        code="location_doubtful",
        about="location",
        sentence=f"The location of the pancreas is uncertain (confidence {location.confidence:.2f}): "
        f"{', and '.join(against)}. Look at the scan.",
        values={**values, **dict.fromkeys(location.reasons, 1)},
    )


def _expected(location: Location) -> str:
    """Return the expected Dice of the mask as text, if it was fitted."""
    return "" if location.expected_dice is None else f" (expected Dice {location.expected_dice:.2f})"


def _searched(location: Location) -> Iterator[Notice]:
    values = {"candidates": location.candidates, "margin_mm": location.margin_mm}
    if location.level == "wider":
        yield Notice(
            code="searched_wider",
            severity="information",
            about="location",
            sentence="Stage 2 therefore searched the most probable place below that, "
            f"{location.margin_mm:g} mm wider on every side.",
            values=values,
        )


def _implausible(organ_ml: float) -> Iterator[Notice]:
    smallest, largest = PLAUSIBLE_PANCREAS_ML
    values = {"volume_ml": round(organ_ml, 2)}
    if organ_ml < smallest:
        sentence = f"The pancreas found is small ({organ_ml:.1f} mL < {smallest:g} mL): part may be missing."
        yield Notice(code="pancreas_small", about="result", sentence=sentence, values=values)
    if organ_ml > largest:
        sentence = f"The pancreas found is large ({organ_ml:.0f} mL > {largest:g} mL): other tissue may be in it."
        yield Notice(code="pancreas_large", about="result", sentence=sentence, values=values)


def _cut_off(mask: Volume, inside: Box) -> Iterator[Notice]:
    vertical = next(axis for axis in range(3) if mask.orientation[axis] in "SI")
    if inside.start[vertical] == 0 or inside.stop[vertical] == mask.shape[vertical]:
        sentence = "The pancreas reaches the first or last slice: the scan may not show all of it."
        yield Notice(code="pancreas_cut_off", about="result", sentence=sentence)
