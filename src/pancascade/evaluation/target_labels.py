"""Targets of an evaluation: the values of a label map that form each of them."""

from typing import Annotated

from pydantic import AfterValidator

from pancascade.errors import DataError


def _labels(labels: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    for target, values in labels.items():
        if not values or min(values) < 1:
            raise ValueError(f"target {target!r} needs at least one label, all above 0 (0 is background)")
    if not labels:
        raise ValueError("at least one target is needed, like pancreas=1+2")
    return labels


TargetLabels = Annotated[dict[str, tuple[int, ...]], AfterValidator(_labels)]
"""Values of a label map that form each target."""


def parse_labels(text: str) -> dict[str, tuple[int, ...]]:
    """Parse targets such as ``pancreas=1+2,tumour=2``.

    Raises:
        DataError: The text does not have this form.
    """
    labels: dict[str, tuple[int, ...]] = {}
    for part in text.split(","):
        target, _, values = part.partition("=")
        target = target.strip()
        try:
            labels[target] = tuple(int(value) for value in values.split("+"))
            _labels({target: labels[target]})
        except ValueError as error:
            raise DataError(f"labels {text!r}: write them like pancreas=1+2,tumour=2 ({error}).") from error
        if not target.isidentifier():
            raise DataError(f"labels {text!r}: a target's name is one word of letters, got {target!r}.")
    return labels


def spell_labels(labels: dict[str, tuple[int, ...]]) -> str:
    """Return targets as `parse_labels` reads them."""
    return ", ".join(f"{target}={'+'.join(map(str, values))}" for target, values in labels.items())
