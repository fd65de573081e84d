"""Confidence in the location of the pancreas, and thresholds of the mask."""

import math
from typing import Literal

from pydantic import Field, field_validator

from pancascade.settings import Settings

Level = Literal["usual", "wider", "whole_scan"]


_EARLIER_CODES = {"belief_weak": "probability_low"}
"""Codes of reasons in results of earlier versions, and the present ones."""


class Location(Settings):
    """Confidence in the location of the pancreas.

    Attributes:
        confidence: In [0, 1]: the fitted probability that the mask is right, if the model has such a fit; else the
            product of the factors of `score_plausibility`.
        reasons: Codes of the reasons for low confidence.
        plausibility: In [0, 1]: the same product for the final result of the step; None where it was not computed. An
            implausible result is withheld.
        agreement: Dice in [0, 1] between the organs of the model's steps; None for one step.
        expected_dice: Expected Dice of the organ's mask, if the model has such a fit.
        level: Extent of the search: the ``usual`` region, or a ``wider`` one where nothing reached probability ½;
            ``whole_scan`` occurs in results of older versions only.
        organ_ml: Volume where the organ's probability is at least ½.
        mass_ml: Sum of all probabilities of the organ, times the volume of a voxel.
        peak: Highest probability.
        components: Number of connected components at probability ½.
        main_share: Share of the largest component in the sum of their probabilities.
        position: Position of its centre in the body: from the patient's right to left, from front to back, and from
            the scan's lowest to its highest slice, each 0…1; None where nothing was found.
        candidates: Number of candidate regions.
        margin_mm: Margin around each region, in addition to the cascade's own.
    """

    confidence: float
    reasons: tuple[str, ...] = ()
    plausibility: float | None = None
    agreement: float | None = None
    expected_dice: float | None = None
    level: Level = "usual"
    organ_ml: float = 0.0
    mass_ml: float = 0.0
    peak: float = 0.0
    components: int = 0
    main_share: float = 0.0
    position: tuple[float, float, float] | None = None
    candidates: int = 0
    margin_mm: float = 0.0

    @field_validator("reasons", mode="after")
    @classmethod
    def _codes_of_any_version(cls, reasons: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_EARLIER_CODES.get(code, code) for code in reasons)


class Thresholds(Settings):
    """Least probabilities of the labels.

    Attributes:
        organ: Least probability of pancreas and tumour together.
        tumour: Least probability of tumour.
        tumour_marked: False where the scan's tumour score is too low to mark a tumour.
    """

    organ: float = Field(default=0.5, gt=0, lt=1)
    tumour: float = Field(default=0.5, gt=0, lt=1)
    tumour_marked: bool = True

    @property
    def least_tumour(self) -> float:
        """Least probability of a voxel marked as tumour; infinite where no tumour is marked."""
        return self.tumour if self.tumour_marked else math.inf
