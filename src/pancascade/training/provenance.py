"""Training patients of a run: kept separate from held-out patients, and recorded with the weights.

Patients are equal if data set and name are equal. The data set is the folder's name, or the archive's own name for
readers that know it. The same patient under other names is not detected here: `pancascade data check` finds duplicate
scans, and `pancascade data split --duplicates` keeps them in one part.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

from pancascade.errors import DataError, listed
from pancascade.files.digests import patient_mark

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SourcePatients:
    """The patients of one data source of a recipe.

    Attributes:
        data_set: Name of the data set.
        train: Patients of the training part.
        held_out: Patients of validation or test parts.
        split: Digest of the split file; None without one.
    """

    data_set: str
    train: frozenset[str]
    held_out: frozenset[str]
    split: str | None


def require_apart(sources: Sequence[SourcePatients]) -> None:
    """Check that no source trains on a patient whom another holds out.

    The same name in two data sets may be two patients: this passes with a warning.

    Raises:
        DataError: A patient of a data set is trained on by one source, and held out by another.
    """
    for one, other in permutations(sources, 2):
        both = sorted(one.train & other.held_out)
        if not both:
            continue
        if one.data_set == other.data_set:
            raise DataError(
                f"{one.data_set}: {listed(both)} would be trained on by one source of the recipe, and held out by "
                "another's split. Give both sources one split."
            )
        logger.warning(
            "%s is trained on in %s, and held out in %s. If that is one patient, keep the patient in one part.",
            listed(both),
            one.data_set,
            other.data_set,
        )


def require_unseen(earlier: Iterable[dict[str, Any]], sources: Iterable[SourcePatients]) -> None:
    """Check that a run's initial weights were not trained on a patient whom it holds out.

    Args:
        earlier: Record of `training_record` in their checkpoint; empty for weights without a record.
        sources: Sources of the run.

    Raises:
        DataError: The weights were trained on such a patient.
    """
    learned = {(record["data_set"], mark) for record in earlier for mark in record["patients"]}
    for source in sources:
        seen = [name for name in sorted(source.held_out) if (source.data_set, patient_mark(name)) in learned]
        if seen:
            raise DataError(
                f"{source.data_set}: the weights that this run starts from were trained on {listed(seen)}, held out "
                "by its split. Use the split that they were trained with, or start from others."
            )


def training_record(sources: Iterable[SourcePatients], earlier: Iterable[dict[str, Any]] = ()) -> list[dict[str, Any]]:
    """Return the record of training patients for a checkpoint: marks by data set, and the split's digest.

    Patients are recorded as marks (`pancascade.files.digests.patient_mark`), so that weights contain no names.

    Args:
        sources: Sources of the run.
        earlier: Records of the initial weights.
    """
    marks: dict[tuple[str, str | None], set[str]] = {}
    for record in earlier:
        marks.setdefault((record["data_set"], record["split"]), set()).update(record["patients"])
    for source in sources:
        marks.setdefault((source.data_set, source.split), set()).update(map(patient_mark, source.train))
    return [{"data_set": name, "split": split, "patients": sorted(found)} for (name, split), found in marks.items()]
