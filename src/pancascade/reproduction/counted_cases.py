"""Count the slices of a data set's cases by what they show, for splits and for comparison with the papers' counts."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pancascade.data.readers import AxialSlice, Case
from pancascade.data.splits.tumour_sizes import CaseSize, size_strata
from pancascade.errors import DataError
from pancascade.execution.parallel import each_in_processes
from pancascade.files.atomic import written_whole
from pancascade.files.digests import text_digest
from pancascade.files.documents import read_json
from pancascade.files.file_names import stem
from pancascade.imaging.io import read_label_map
from pancascade.imaging.volume import reorient
from pancascade.labels import Label
from pancascade.reproduction.published_tables import Data
from pancascade.settings import Settings

Progress = Callable[[int, int], None]
"""Called with the number of counted cases and the total."""


class CaseCount(Settings):
    """Number of slices of a case, by what they show.

    Attributes:
        case: Name of the case.
        patient: Patient of the case.
        slices: Number of all slices.
        pancreas: Number of slices that show the pancreas, tumour included.
        tumour: Number of slices that show tumour.
        tumour_ml: Volume of the tumour; None where the spacing is unknown.
    """

    case: str
    patient: str
    slices: int
    pancreas: int
    tumour: int
    tumour_ml: float | None

    def kept(self, keep: str) -> int:
        """Return the number of slices by a recipe's rule: all, pancreas or tumour."""
        return {"all": self.slices, "pancreas": self.pancreas}.get(keep, self.tumour)


@dataclass(frozen=True)
class CountedCases:
    """A data set with counted slices.

    Attributes:
        name: Name of the data set.
        cases: All cases.
        counts: One for each case, in their order.
    """

    name: str
    cases: tuple[Case, ...]
    counts: tuple[CaseCount, ...]

    def of(self, patients: Iterable[str]) -> "CountedCases":
        """Return the cases of these patients."""
        wanted = set(patients)
        pairs = [(case, count) for case, count in zip(self.cases, self.counts, strict=True) if case.patient in wanted]
        return CountedCases(self.name, tuple(case for case, _ in pairs), tuple(count for _, count in pairs))

    @property
    def patients(self) -> tuple[str, ...]:
        """Patients of all cases, sorted."""
        return tuple(sorted({case.patient for case in self.cases}))

    def strata(self) -> Mapping[str, str] | None:
        """Return the stratum of each patient by tumour size; None if no case shows a tumour."""
        if not any(count.tumour for count in self.counts):
            return None
        return size_strata(CaseSize(count.case, count.patient, count.tumour_ml) for count in self.counts)

    def scans(self) -> int:
        """Return the number of scans or, for single slices, of their patients."""
        return len(self.cases) if all(case.scan is not None for case in self.cases) else len(self.patients)

    def kept(self, keep: str) -> int:
        """Return the number of slices of all cases by a recipe's rule."""
        return sum(count.kept(keep) for count in self.counts)


def count_cases(
    cases: Sequence[Case], *, kept_in: Path, workers: int = 1, progress: Progress | None = None
) -> CountedCases:
    """Count the slices of every case by its label map; later calls read the counts from a file.

    Args:
        cases: Cases of one data set.
        kept_in: JSON file of the counts; written if it is missing or belongs to other cases.
        workers: Number of processes.
        progress: Called after each case.

    Raises:
        PancascadeError: A label map cannot be read.
        DataError: There is no case.
    """
    if not cases:
        raise DataError("The data set holds no case. Check the folder given as --data.")
    key = text_digest(json.dumps([[case.name, case.patient, _label_bytes(case)] for case in cases]))
    counts = _read_counts(kept_in, key)
    if counts is None:
        found: dict[str, CaseCount] = {}
        jobs = [partial(_count, case.name, case.patient, _label(case), _reader(case)) for case in cases]
        for done, (_, count) in enumerate(each_in_processes(_work, jobs, workers=workers), start=1):
            if count is None:
                raise DataError("A process that read a label map died. Try again with --workers 1.")
            found[count.case] = count
            if progress is not None:
                progress(done, len(jobs))
        counts = tuple(found[case.name] for case in cases)
        with written_whole(kept_in) as temporary:
            content = {"key": key, "counts": [count.model_dump(mode="json") for count in counts]}
            temporary.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return CountedCases(cases[0].source, tuple(cases), counts)


def found_beside_published(
    data: Data, parts: Sequence[tuple[CountedCases, CountedCases]], *, everything: CountedCases
) -> list[dict[str, str]]:
    """Return cases and slices found, beside the paper's counts: ``what``, ``found``, ``published``.

    Args:
        data: Data of the paper.
        parts: Training and test cases of each fold.
        everything: All cases.
    """
    shown = {"all": "cases", "train": "training cases", "test": "test cases"}
    kept = {"pancreas": "slices with pancreas", "tumour": "slices with tumour", "all": "slices"}[data.keep]
    rows = []
    for part, what in shown.items():
        sets = {"all": [everything], "train": [train for train, _ in parts], "test": [test for _, test in parts]}[part]
        theirs = kept if part == "all" else f"their {kept}"
        numbers = {what: [one.scans() for one in sets], theirs: [one.kept(data.keep) for one in sets]}
        published = {what: data.cases.get(part), theirs: data.slices.get(part)}  # type: ignore[call-overload]
        for name, values in numbers.items():
            said = published[name]
            spelled = ", ".join(map(str, values))
            rows.append({"what": name, "found": spelled, "published": "–" if said is None else str(said)})
    return rows


def _read_counts(path: Path, key: str) -> tuple[CaseCount, ...] | None:
    try:
        content = read_json(path)
        if content["key"] != key:
            return None
        return tuple(CaseCount.model_validate(count) for count in content["counts"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _label(case: Case) -> Path | None:
    """Return the label map, if it is a file that can be read without its scan."""
    label = None if case.scan is None else case.scan.label
    return label if label is not None and stem(label) != label.name else None


def _label_bytes(case: Case) -> int:
    label = _label(case)
    try:
        return label.stat().st_size if label is not None else 0
    except OSError:
        return 0


def _reader(case: Case) -> tuple[Callable[[], Sequence[AxialSlice]] | None, dict[int, int]]:
    """Return how a case is read if its label map alone is not enough, and the meaning of its label values."""
    if _label(case) is None or case.scan is None:
        return case.read_slices, {}
    return None, {value: structure.label for value, structure in case.scan.meaning.items()}


def _work(job: Callable[[], CaseCount]) -> CaseCount:
    return job()


def _count(
    name: str,
    patient: str,
    label: Path | None,
    reading: tuple[Callable[[], Sequence[AxialSlice]] | None, Mapping[int, int]],
) -> CaseCount:
    read_slices, meaning = reading
    if read_slices is None and label is not None:
        volume = reorient(read_label_map(label), "LPS")
        values = volume.voxels
        tumours = [value for value, found in meaning.items() if found == Label.TUMOUR]
        organs = [*tumours, *(value for value, found in meaning.items() if found == Label.PANCREAS)]
        tumour, organ = np.isin(values, tumours), np.isin(values, organs)
        volume_ml = float(np.count_nonzero(tumour)) * volume.voxel_volume_ml
        shown, marked = (np.asarray(mask.any(axis=(0, 1)), bool) for mask in (organ, tumour))
        return _counted(name, patient, shown, marked, volume_ml)
    slices = read_slices() if read_slices is not None else []
    tumour = np.array([bool((one.labels == Label.TUMOUR).any()) for one in slices], bool)
    organ = np.array([bool(np.isin(one.labels, (Label.PANCREAS, Label.TUMOUR)).any()) for one in slices], bool)
    return _counted(name, patient, organ, tumour, None if tumour.any() else 0.0)


def _counted(
    name: str, patient: str, organ: NDArray[np.bool_], tumour: NDArray[np.bool_], tumour_ml: float | None
) -> CaseCount:
    return CaseCount(
        case=name,
        patient=patient,
        slices=len(organ),
        pancreas=int(np.count_nonzero(organ)),
        tumour=int(np.count_nonzero(tumour)),
        tumour_ml=tumour_ml,
    )
