"""Additions of `pancascade segment` to the papers' pass; each can be switched off by its name."""

from collections.abc import Iterable
from typing import Self

from pancascade.settings import Settings


class Additions(Settings):
    """Which additions of `segment` are on; `pancascade predict` has none of them.

    Attributes:
        smoothing: Probabilities of both stages are averaged along the body, and stage 1 sees slices 2 mm apart.
        fallback_search: If stage 1 nowhere reaches ½, its best candidate below that is passed on, with a wider
            margin.
        component_rules: Stage 1's map and the mask keep one organ in one place; the tumour keeps components that
            touch it and have at least 0.05 mL.
        body_box: Air and table around the patient are left out.
        search_range: Only heights at which the pancreas can lie, relative to the base of the lungs, are searched.
        calibration: Probabilities are scaled by the model's calibration.
        tuned_thresholds: The model's thresholds, chosen on validation patients; ½ if off.
        tumour_score: No tumour is marked in a scan whose tumour score is below the model's least one.
    """

    smoothing: bool = True
    fallback_search: bool = True
    component_rules: bool = True
    body_box: bool = True
    search_range: bool = True
    calibration: bool = True
    tuned_thresholds: bool = True
    tumour_score: bool = True

    @property
    def switched_off(self) -> tuple[str, ...]:
        """Names of the additions that are off, as in ``result.json``."""
        return tuple(name for name in type(self).model_fields if not getattr(self, name))

    @classmethod
    def without(cls, names: Iterable[str]) -> Self:
        """Return all additions but those named; unknown names, as of a newer version, are ignored."""
        known = cls.model_fields
        return cls(**{name: False for name in names if name in known})


ALL = Additions()
NONE = Additions.without(Additions.model_fields)
