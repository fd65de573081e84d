"""Restriction of an evaluation to held-out patients: one part of a split, no training patients."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pancascade.errors import DataError, listed
from pancascade.evaluation.pairing import OWN_MASK
from pancascade.files.digests import patient_mark
from pancascade.files.documents import read_json


@dataclass(frozen=True)
class SplitPart:
    """The part of a split whose cases are measured.

    Attributes:
        split: File of the split.
        part: Name of the part.
        patients: Patients of every part, by its name.
    """

    split: Path
    part: str
    patients: Mapping[str, Collection[str]]

    def left_out(
        self, cases: Iterable[str], patients: Mapping[str, str], *, unmatched: Iterable[str] = ()
    ) -> dict[str, str]:
        """Return the cases of other parts with the part of each.

        Args:
            cases: Names of cases with a reference.
            patients: Patient of each case; a case without entry is its own patient.
            unmatched: Names of cases that could not be matched; these may be in no part.

        Raises:
            DataError: A case's patient is in no part.
        """
        part_of = {patient: part for part, members in self.patients.items() for patient in members}
        cases = list(cases)
        found = {case: part_of.get(patients.get(case, case)) for case in [*cases, *unmatched]}
        unknown = [case for case in cases if found[case] is None]
        if unknown:
            raise DataError(
                f"{self.split}: {listed(unknown)} in none of its parts. Is it another data set's split, or do the "
                "masks carry other names than the patients? Then give --patients."
            )
        return {case: part for case, part in found.items() if part is not None and part != self.part}


def require_held_out(method: str, predictions: Mapping[str, Path], patients: Mapping[str, str]) -> None:
    """Check that no prediction is known to come from a model trained on its patient.

    This is known if `pancascade segment` wrote the prediction with a model whose checkpoint records its training
    patients: then ``result.json`` beside the mask contains their marks. Other masks, and masks of older checkpoints,
    pass.

    Args:
        method: Name of the method, for the message.
        predictions: Mask of each case.
        patients: Patient of each case; a case without entry is its own patient.

    Raises:
        DataError: A prediction is of a training patient of its model.
    """
    seen = []
    for case, mask in predictions.items():
        names = {case, patients.get(case, case)}
        if not _marks_beside(mask).isdisjoint(map(patient_mark, names)):
            seen.append(case)
    if seen:
        raise DataError(
            f"{method}: the model that made these masks was trained on {listed(seen)}; results on its training cases "
            "say nothing about new patients. Leave them out with --split, or ask for them with --allow-training-cases."
        )


def _marks_beside(mask: Path) -> frozenset[str]:
    if mask.name != OWN_MASK:
        return frozenset()
    try:
        records = read_json(mask.parent / "result.json")["trained_on"]
        return frozenset(str(mark) for record in records for mark in record["patients"])
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()  # of an older version, or of another program
