"""Warnings about the data of a run, given before training starts."""

from collections.abc import Iterable, Sequence

from torch import Tensor

from pancascade.data.sampling import SampleSet, contains
from pancascade.errors import listed
from pancascade.labels import Label


def data_warnings(
    labels: Sequence[Label], *, training: Sequence[SampleSet], validation: Sequence[SampleSet]
) -> list[str]:
    """Return a sentence for each label that a run has to learn but no sample shows.

    Args:
        labels: Labels that the cascade segments.
        training: Training samples.
        validation: Validation samples; empty without validation.
    """
    shown = {label: _shows(training, label) for label in labels}
    if not any(bool((_labels(samples, index) > 0).any()) for samples in training for index in range(len(samples))):
        return ["All masks of the training data are empty: there is nothing to learn. Check labels, and keep."]
    found = [
        f"No training case shows {label.title}, which the recipe is to learn. Check labels, split and keep."
        for label in labels
        if not shown[label]
    ]
    if any(len(samples) for samples in validation):
        missing = [label for label in labels if shown[label] and not _shows(validation, label)]
        found += [
            f"No validation case shows {label.title}: its Dice stays unknown, and does not select the best weights."
            for label in missing
        ]
    return found


def unknown_patients(split: str, named: Iterable[str], *, there: frozenset[str]) -> str | None:
    """Return a sentence about patients of a split that the data set does not have; None if there are none.

    Args:
        split: Name of the split's file.
        named: Patients in the split.
        there: Patients of the data set.
    """
    strange = sorted(set(named) - there)
    if not strange:
        return None
    return f"{split}: names {listed(strange)}, whom the data set does not have. Check the spelling, or the data set."


def _shows(sets: Sequence[SampleSet], label: Label) -> bool:
    wanted = (Label.PANCREAS, Label.TUMOUR) if label == Label.PANCREAS else (label,)
    rule = contains(*wanted)
    return any(rule(_labels(samples, index)) for samples in sets for index in range(len(samples)))


def _labels(samples: SampleSet, index: int) -> Tensor:
    return samples.labels[index]
