"""A model's temperatures and offsets, and what they make of a prediction."""

from dataclasses import replace

import numpy as np
from pydantic import Field

from pancascade.inference.localization.region_probabilities import RegionProbabilities
from pancascade.metrics.calibration import Scaling, apply_scaling
from pancascade.settings import Settings


class CalibrationQuality(Settings):
    """How a scaling was fitted, and what it gained on the same voxels.

    Attributes:
        patients: With voxels that count.
        voxels: Those in which the model saw the target at all, with a probability of at least `FAINT`.
        missed_voxels: Of the target, with a lower probability; no scaling mends these, and they do not count.
        ece_before: Expected calibration error in tenths of the probability.
        ece_after: The same after scaling.
        brier_before: Mean squared difference of probability and truth.
        brier_after: The same after scaling.
        nll_before: Mean negative log-likelihood.
        nll_after: The same after scaling.
        held_out_gain: By how much a scaling fitted without a patient lowers that patient's negative log-likelihood,
            mean over patients; above 0 it can be expected to serve new patients. None where unknown.
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


class Calibration(Settings):
    """Scaling of a model's probabilities: sigmoid(logit(p) / temperature + offset).

    Attributes:
        organ_temperature: Of the pancreas with its tumour.
        organ_offset: Of the same.
        tumour_temperature: Of the tumour.
        tumour_offset: Of the same.
        data: Which patients they were fitted on.
        organ: How the organ's was fitted; None where it was not.
        tumour: How the tumour's was fitted; None where it was not.
    """

    organ_temperature: float = Field(default=1.0, gt=0)
    organ_offset: float = 0.0
    tumour_temperature: float = Field(default=1.0, gt=0)
    tumour_offset: float = 0.0
    data: str = ""
    organ: CalibrationQuality | None = None
    tumour: CalibrationQuality | None = None

    @property
    def organ_scaling(self) -> Scaling:
        """Of the organ."""
        return Scaling(self.organ_temperature, self.organ_offset)

    @property
    def tumour_scaling(self) -> Scaling:
        """Of the tumour."""
        return Scaling(self.tumour_temperature, self.tumour_offset)


def calibrated(prediction: RegionProbabilities, calibration: Calibration) -> RegionProbabilities:
    """A prediction with scaled probabilities; the same prediction where nothing is scaled.

    The tumour is a part of the organ, so that the organ is at least as likely: where the two scalings say otherwise
    the organ's probability is raised, as `combine` does.
    """
    if prediction.box is None or calibration.organ_scaling == calibration.tumour_scaling == Scaling():
        return prediction
    tumour = apply_scaling(prediction.tumour, calibration.tumour_scaling).astype(np.float32)
    organ = apply_scaling(prediction.organ, calibration.organ_scaling).astype(np.float32)
    return replace(prediction, organ=np.maximum(organ, tumour), tumour=tumour)
