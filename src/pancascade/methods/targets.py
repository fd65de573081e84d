"""Targets of two stages: the organ, and inside it the same organ or the tumour."""

from typing import Literal, Self

from pydantic import Field, model_validator

from pancascade.labels import Label
from pancascade.settings import Settings

COMPOSED = (
    "labels: with first_labels other than second_labels, P of the first and Q of the second: background "
    "(1 - Q)(1 - P), pancreas (1 - Q) P, tumour Q; where both find the same thing, pancreas Q and background 1 - Q."
)
"""Composition of two stages' probabilities to classes, for `Cascade.export_chain`."""


class NestedTargets(Settings):
    """Settings of a cascade whose second target lies inside the first one.

    Attributes:
        first_labels: Target of stage 1, which the reference box encloses.
        second_labels: Target of stage 2: the same, or the tumour.
    """

    first_labels: tuple[Literal["pancreas", "tumour"], ...] = Field(default=("pancreas", "tumour"), min_length=1)
    second_labels: tuple[Literal["pancreas", "tumour"], ...] = Field(default=("tumour",), min_length=1)

    @model_validator(mode="after")
    def _targets_are_nested(self) -> Self:
        first, second = set(self.first_labels), set(self.second_labels)
        if "pancreas" not in first or second not in (first, {"tumour"}):
            raise ValueError(
                "first_labels must hold pancreas, and second_labels be [tumour] or the same as first_labels; "
                f"got {sorted(first)} and {sorted(second)}"
            )
        return self

    @property
    def organ(self) -> tuple[Label, ...]:
        """Labels of the target of stage 1."""
        return tuple(Label[name.upper()] for name in self.first_labels)

    @property
    def target(self) -> tuple[Label, ...]:
        """Labels of the target of stage 2."""
        return tuple(Label[name.upper()] for name in self.second_labels)

    @property
    def one_target(self) -> bool:
        """Whether both stages have the same target."""
        return set(self.first_labels) == set(self.second_labels)

    @property
    def found(self) -> tuple[Label, ...]:
        """Labels that the cascade segments besides background."""
        return (Label.PANCREAS,) if self.one_target else (Label.PANCREAS, Label.TUMOUR)
