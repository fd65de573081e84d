"""Temperatures and offsets of a model, and their application to a prediction."""

from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from pancascade.inference.localization.region_probabilities import RegionProbabilities
from pancascade.metrics.calibration import LARGEST_OFFSET, TEMPERATURE_LIMITS, Scaling, apply_scaling
from pancascade.settings import Settings


class CalibrationQuality(Settings):
    """How a scaling was fitted, and its effect on the same voxels.

    Attributes:
        patients: Number of patients with voxels that count.
        voxels: Number of voxels that count: the model gives the target a probability of at least `FAINT`.
        missed_voxels: Voxels of the target with a lower probability; they do not count, scaling cannot recover them.
        ece_before: Expected calibration error in tenths of the probability.
        ece_after: The same after scaling.
        brier_before: Mean squared difference of probability and reference.
        brier_after: The same after scaling.
        nll_before: Mean negative log-likelihood.
        nll_after: The same after scaling.
        held_out_gain: Mean gain in a patient's negative log-likelihood by a scaling fitted on the other patients;
            above 0 a gain on new patients can be expected. None where unknown.
    """

    patients: int
    voxels: int
    missed_voxels: int = 0
    ece_before: float
    ece_after: float
    brier_before: float
    brier_after: float
    nll_before: float
    nll_after: float
    held_out_gain: float | None = None


Temperature = Annotated[float, Field(ge=TEMPERATURE_LIMITS[0], le=TEMPERATURE_LIMITS[1])]
Offset = Annotated[float, Field(ge=-LARGEST_OFFSET, le=LARGEST_OFFSET)]


class Calibration(Settings):
    """Scaling of a model's probabilities: sigmoid(logit(p) / temperature + offset).

    Attributes:
        organ_temperature: Temperature of the pancreas with its tumour.
        organ_offset: Offset of the pancreas with its tumour.
        tumour_temperature: Temperature of the tumour.
        tumour_offset: Offset of the tumour.
        data: Patients that they were fitted on.
        organ: How the organ's scaling was fitted; None if it was not.
        tumour: How the tumour's scaling was fitted; None if it was not.
    """

    organ_temperature: Temperature = 1.0
    organ_offset: Offset = 0.0
    tumour_temperature: Temperature = 1.0
    tumour_offset: Offset = 0.0
    data: str = ""
    organ: CalibrationQuality | None = None
    tumour: CalibrationQuality | None = None

    @property
    def organ_scaling(self) -> Scaling:
        """Scaling of the organ."""
        return Scaling(self.organ_temperature, self.organ_offset)

    @property
    def tumour_scaling(self) -> Scaling:
        """Scaling of the tumour."""
        return Scaling(self.tumour_temperature, self.tumour_offset)


def calibrated(prediction: RegionProbabilities, calibration: Calibration) -> RegionProbabilities:
    """Return the prediction with scaled probabilities; the prediction itself if nothing is scaled.

    The tumour is a part of the organ, so the organ's probability must not be lower: where the two scalings violate
    this, the organ's probability is raised, as in `combine`.
    """
    if prediction.box is None or calibration.organ_scaling == calibration.tumour_scaling == Scaling():
        return prediction
    tumour = apply_scaling(prediction.tumour, calibration.tumour_scaling).astype(np.float32)
    organ = apply_scaling(prediction.organ, calibration.organ_scaling).astype(np.float32)
    return replace(prediction, organ=np.maximum(organ, tumour), tumour=tumour)
