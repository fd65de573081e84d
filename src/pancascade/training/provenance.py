"""Whom a run trains on: kept apart from whom it is judged by, and written down with the weights.

Patients are the same where data set and name are the same; the data set is the folder's name, or the archive's own
for readers that know it. The same patient under other names is beyond this: `pancascade data check` finds him by his
scan, and `pancascade data split --duplicates` keeps him in one part.
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
        train: Who is trained on.
        held_out: Who belongs to validation or test.
        split: Digest of the split file; None without one.
    """

    data_set: str
    train: frozenset[str]
    held_out: frozenset[str]
    split: str | None


def require_apart(sources: Sequence[SourcePatients]) -> None:
    """Pass only if no source trains on a patient whom another holds out.

    The same name in two data sets may be two patients: that is said in the log, and passes.

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
            "%s is trained on in %s, and held out in %s. If that is one patient, keep him in one part.",
            listed(both),
            one.data_set,
            other.data_set,
        )


def require_unseen(earlier: Iterable[dict[str, Any]], sources: Iterable[SourcePatients]) -> None:
    """Pass only if the weights that a run starts from never learned from a patient whom it holds out.

    Args:
        earlier: What `training_record` wrote into their checkpoint; empty for weights that do not tell.
        sources: Of the run.

    Raises:
        DataError: They did.
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
    """Whom weights were trained on, for their checkpoint: patients by data set, and the split's digest.

    Patients are written as marks (`pancascade.files.digests.patient_mark`), so that no name travels with the weights.

    Args:
        sources: Of the run.
        earlier: The records of the weights that it started from.
    """
    marks: dict[tuple[str, str | None], set[str]] = {}
    for record in earlier:
        marks.setdefault((record["data_set"], record["split"]), set()).update(record["patients"])
    for source in sources:
        marks.setdefault((source.data_set, source.split), set()).update(map(patient_mark, source.train))
    return [{"data_set": name, "split": split, "patients": sorted(found)} for (name, split), found in marks.items()]
