"""How likely the organ that a model found is right, fitted on validation scans."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pydantic import Field

from pancascade.inference.localization.region_probabilities import RegionProbabilities
from pancascade.results.location import Location
from pancascade.settings import Settings

RIGHT_DICE = 0.6
"""A mask of the pancreas is called right from this Dice on."""

DISAGREE = 0.65
"""Agreement of the steps below which that is told as a reason; the shipped model's chance to be right is ½ there."""


class LogisticFit(Settings):
    """A number in (0, 1) of two others: σ(constant + agreement · a + plausibility · b).

    Attributes:
        constant: The first term.
        agreement: Factor of the agreement of the model's steps.
        plausibility: Factor of the plausibility of what was found.
    """

    constant: float = Field(allow_inf_nan=False)
    agreement: float = Field(allow_inf_nan=False)
    plausibility: float = Field(allow_inf_nan=False)

    def of(self, agreement: float, plausibility: float) -> float:
        """The fitted number."""
        value = self.constant + self.agreement * agreement + self.plausibility * plausibility
        return 0.5 * (1 + math.tanh(value / 2))  # the logistic function, for any size of its argument


class LocationFit(Settings):
    """What a location is worth, fitted to the Dice of whole validation scans (`benchmarks/location_confidence.py`).

    Attributes:
        right: Chance that the organ's Dice is at least `RIGHT_DICE`; it becomes the location's confidence.
        dice: The organ's expected Dice.
    """

    right: LogisticFit
    dice: LogisticFit


def agreement_of(before: RegionProbabilities, close: Sequence[RegionProbabilities]) -> float:
    """Dice of the organ that earlier steps found and that a second pass over its regions found, at probability ½.

    Two networks that learned from different patients rarely make the same mistake.

    Args:
        before: What earlier steps found, in the whole scan.
        close: What was found in each region; they do not overlap.
    """
    total, shared = int(np.count_nonzero(before.organ >= 0.5)), 0
    for found in close:
        if found.box is None:
            continue
        likely = found.organ >= 0.5
        total += int(np.count_nonzero(likely))
        shared += int(np.count_nonzero(likely & (before.organ_in(found.box) >= 0.5)))
    return 2 * shared / total if total else 0.0


def with_agreement(prediction: RegionProbabilities, agreement: float) -> RegionProbabilities:
    """A prediction whose location tells how far the model's steps agree."""
    if prediction.location is None:
        return prediction
    return replace(prediction, location=prediction.location.model_copy(update={"agreement": round(agreement, 3)}))


def with_fitted_confidence(prediction: RegionProbabilities, fit: LocationFit | None) -> RegionProbabilities:
    """A prediction whose location has the fitted confidence and expected Dice; as it is where nothing was fitted.

    Args:
        prediction: By all steps of a model.
        fit: Of that model.
    """
    location = prediction.location
    if fit is None or location is None or location.agreement is None or location.plausibility is None:
        return prediction
    reported = {
        "confidence": round(fit.right.of(location.agreement, location.plausibility), 3),
        "expected_dice": round(fit.dice.of(location.agreement, location.plausibility), 3),
        "reasons": _reasons(location),
    }
    return replace(prediction, location=location.model_copy(update=reported))


def _reasons(location: Location) -> tuple[str, ...]:
    disagree = location.agreement is not None and location.agreement < DISAGREE
    return (*location.reasons, "steps_disagree") if disagree else location.reasons
