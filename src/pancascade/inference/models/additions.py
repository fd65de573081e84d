"""What `pancascade segment` does beyond the papers' pass; each can be switched off by its name."""

from collections.abc import Iterable
from typing import Self

from pancascade.settings import Settings


class Additions(Settings):
    """Which of `segment`'s additions are on; `pancascade predict` has none of them.

    Attributes:
        smoothing: Both stages' probabilities are averaged along the body, and stage 1 sees slices 2 mm apart.
        fallback_search: Where stage 1 nowhere reaches ½, its best candidate below that is passed on,
            and more around it.
        component_rules: Of stage 1's map and of the mask only one organ in one place is kept, and of the tumour what
            touches it and is no speck.
        body_box: Air and table around the patient are left out.
        search_range: Only heights are searched at which the pancreas can lie, by the base of the lungs.
        calibration: Probabilities are scaled by the model's temperatures.
        tuned_thresholds: The model's thresholds, chosen on validation patients; ½ without.
        tumour_score: No tumour is marked in a scan whose score is below the model's least one.
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
        """Names of those that are off, as in ``result.json``."""
        return tuple(name for name in type(self).model_fields if not getattr(self, name))

    @classmethod
    def without(cls, names: Iterable[str]) -> Self:
        """All but those of these names; a name that is none here is passed over, as of a newer version."""
        known = cls.model_fields
        return cls(**{name: False for name in names if name in known})


ALL = Additions()
NONE = Additions.without(Additions.model_fields)
