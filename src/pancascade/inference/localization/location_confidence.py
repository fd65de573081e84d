"""Probability that a model's organ is right, fitted on validation scans."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pydantic import Field

from pancascade.inference.localization.region_probabilities import RegionProbabilities
from pancascade.results.location import Location
from pancascade.settings import Settings

RIGHT_DICE = 0.6
"""Least Dice of a mask of the pancreas that counts as right."""

DISAGREE = 0.65
"""Agreement of the steps below which it lowers the confidence; there the shipped model is right half the time."""


class LogisticFit(Settings):
    """A logistic function of agreement a and plausibility b: σ(constant + agreement · a + plausibility · b).

    Attributes:
        constant: The first term.
        agreement: Factor of the agreement of the model's steps.
        plausibility: Factor of the plausibility of the prediction.
    """

    constant: float = Field(allow_inf_nan=False)
    agreement: float = Field(allow_inf_nan=False)
    plausibility: float = Field(allow_inf_nan=False)

    def of(self, agreement: float, plausibility: float) -> float:
        """Return the fitted number in (0, 1)."""
        value = self.constant + self.agreement * agreement + self.plausibility * plausibility
        return 0.5 * (1 + math.tanh(value / 2))  # the logistic function; it cannot overflow


class LocationFit(Settings):
    """Quality of a location, fitted to the Dice of whole validation scans (`benchmarks/location_confidence.py`).

    Attributes:
        right: Probability that the organ's Dice is at least `RIGHT_DICE`; it becomes the location's confidence.
        dice: Expected Dice of the organ.
    """

    right: LogisticFit
    dice: LogisticFit


def agreement_of(before: RegionProbabilities, close: Sequence[RegionProbabilities]) -> float:
    """Return the Dice between the organ of earlier steps and that of a second pass over its regions, at probability ½.

    Two networks that learned from different patients rarely make the same mistake.

    Args:
        before: Prediction of earlier steps, in the whole scan.
        close: Prediction in each region; the regions do not overlap.
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
    """Record in the prediction's location how far the model's steps agree."""
    if prediction.location is None:
        return prediction
    return replace(prediction, location=prediction.location.model_copy(update={"agreement": round(agreement, 3)}))


def with_fitted_confidence(prediction: RegionProbabilities, fit: LocationFit | None) -> RegionProbabilities:
    """Set the fitted confidence and expected Dice of the prediction's location; no change without a fit.

    Args:
        prediction: Prediction by all steps of a model.
        fit: Fit of that model.
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
