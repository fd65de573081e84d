"""How surely the pancreas was located, and from which probability on anything is marked."""

import math
from typing import Literal

from pydantic import Field, field_validator

from pancascade.settings import Settings

Level = Literal["usual", "wider", "whole_scan"]


_EARLIER_CODES = {"belief_weak": "probability_low"}
"""Of reasons, in results of earlier versions."""


class Location(Settings):
    """How surely the pancreas was located before stage 2.

    Attributes:
        confidence: In [0, 1]: the chance that the mask is right, where the model was fitted to tell that; else the
            product of all that speaks for the place.
        reasons: Codes of what speaks against it.
        plausibility: In [0, 1]: the same of what was found in the end, after stage 2; None where nobody asked. What is
            not plausible is not handed out.
        agreement: Dice in [0, 1] of the organ as the model's steps see it, one against the other; None for one step.
        expected_dice: Of the organ's mask, where the model was fitted to tell that.
        level: How far the search went: the ``usual`` region, or a ``wider`` one where nothing reached probability ½;
            ``whole_scan`` stands in results of older versions only.
        organ_ml: Volume where the organ's probability is at least ½.
        mass_ml: Sum of all probabilities of the organ, times the volume of a voxel.
        peak: Highest probability.
        components: Number of separate components of probability ½ or more.
        main_share: Share of the largest component in the weight of all.
        position: Where its centre lies in the body: from the patient's right to left, from front to back, and from
            the scan's lowest to its highest slice, each 0…1; None where nothing was found.
        candidates: How many regions were segmented.
        margin_mm: Width added around each region, beyond what the cascade itself adds.
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

    def __repr__(self) -> str:
        """The confidence, and what speaks against the place: "<Location: confidence 0.31, steps_disagree>"."""
        against = "".join(f", {code}" for code in self.reasons)
        return f"<Location: confidence {self.confidence:.2f}{against}>"

    __str__ = __repr__

    @field_validator("reasons", mode="after")
    @classmethod
    def _codes_of_any_version(cls, reasons: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_EARLIER_CODES.get(code, code) for code in reasons)


class Thresholds(Settings):
    """Least probabilities of what is marked.

    Attributes:
        organ: Of pancreas and tumour together.
        tumour: Of tumour.
        tumour_marked: False where the tumour score of the scan is too low for any tumour to be marked.
    """

    organ: float = Field(default=0.5, gt=0, lt=1)
    tumour: float = Field(default=0.5, gt=0, lt=1)
    tumour_marked: bool = True

    @property
    def least_tumour(self) -> float:
        """Probability from which on a voxel is marked as tumour; infinite where none is."""
        return self.tumour if self.tumour_marked else math.inf
