"""``evaluate`` and ``compare`` of masks that ``predict`` wrote, against the data set itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pancascade.errors import DataError

if TYPE_CHECKING:
    from pancascade.evaluation import Evaluation, Method, Protocol


def are_of_data_set(methods: "Sequence[Method]", reference: Path) -> bool:
    """Whether all methods' masks were written by `predict`, from the data set that is the reference.

    Raises:
        DataError: Some were, and others were not; or single slices are compared with a folder of label maps.
    """
    from pancascade.evaluation.data_set import is_of_data_set

    found = [is_of_data_set(method.predictions, reference) for method in methods]
    if any(found) and not all(found):
        other = methods[found.index(False)].predictions.name
        raise DataError(f"{other}: not predicted from {reference.name}, as others were. Compare by folders of masks.")
    return all(found)


def run_on_data_set(
    methods: "Sequence[Method]", reference: Path, *, protocol: "Protocol", patients: Path | None, **choices: Any
) -> "list[Evaluation]":
    """What `predict` wrote, against the data set that it was predicted from.

    Raises:
        DataError: An option is for label maps alone.
    """
    from pancascade.evaluation.data_set import evaluate_data_set, read_predicted_cases

    given = {"--patients": patients, "--confidence": methods[0].confidence, "--scores": methods[0].scores}
    for option, value in given.items():
        if value:
            raise DataError(f"{option}: {reference.name} is a data set. Give a folder of label maps, or leave it out.")
    return [
        evaluate_data_set(
            method.predictions,
            read_predicted_cases(method.predictions, reference),
            method=method.name,
            protocol=protocol,
            **choices,
        )
        for method in methods
    ]
