"""Evaluation of masks of `pancascade predict` against their data set: whole scans, or single slices."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pancascade.data.readers import AxialSlice, Case, recognise
from pancascade.data.readers.data_reading import DataReading
from pancascade.errors import DataError, PancascadeError, listed
from pancascade.evaluation.case_measurement import measure_case
from pancascade.evaluation.evaluate import Evaluation
from pancascade.evaluation.held_out import SplitPart
from pancascade.evaluation.pairing import Failure
from pancascade.evaluation.prediction_set import (
    NAME,
    PredictionSet,
    read_prediction_set,
    slice_mask_name,
    volume_mask_name,
)
from pancascade.evaluation.protocol import Protocol
from pancascade.evaluation.records import CaseRecord, slice_record
from pancascade.execution import Executor, each_job
from pancascade.files.digests import patient_mark
from pancascade.files.picture_faults import PICTURE_FAULTS
from pancascade.imaging.io import read_volume
from pancascade.metrics import Confusion, confusion

Progress = Callable[[int, int], None]
"""Called with the number of finished cases and of all cases."""


@dataclass(frozen=True)
class EvaluatedSlices:
    """Counts of one slice of a patient, by target."""

    patient: str
    name: str
    targets: Mapping[str, Confusion]


@dataclass(frozen=True)
class DataSetJob:
    """One case of a data set and the folder of its masks; a case without masks counts as empty."""

    case: Case
    folder: Path
    protocol: Protocol
    predicted: bool = True


def is_of_data_set(predictions: Path, reference: Path) -> bool:
    """Return whether `predict` wrote the masks, and the reference is a data set itself.

    Args:
        predictions: Folder of the masks.
        reference: A data set, or a folder of label maps, which would be matched by file names.
    """
    if not (predictions / NAME).is_file():
        return False
    reading = read_prediction_set(predictions).source.reading
    try:
        layout = recognise(reference)
    except DataError:
        return False
    return reading is None or layout is reading.layout


def read_predicted_cases(predictions: Path, reference: Path) -> list[Case]:
    """Return the cases of a data set, with the reading options of the prediction.

    Raises:
        DataError: The folder holds no predictions, or the data set cannot be read.
    """
    reading = read_prediction_set(predictions).source.reading
    return (reading or DataReading(layout=recognise(reference))).cases(reference)


def evaluate_data_set(
    predictions: Path,
    cases: Sequence[Case],
    *,
    method: str,
    protocol: Protocol | None = None,
    part: SplitPart | None = None,
    allow_training_cases: bool = False,
    workers: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Compare the masks that `predict_cases` wrote with the references of a data set.

    Whole scans are measured as in `evaluate`. Single slices give one record per patient with counts only, for the
    papers' tables over slices with intervals over patients.

    Args:
        predictions: Folder written by `predict_cases`.
        cases: Cases of the data set; those without predictions are ignored.
        method: Name in tables.
        protocol: Protocol of the comparison; references have pancascade's own labels.
        part: Measure only the cases of this part of a split.
        allow_training_cases: Also measure training cases of the weights.
        workers: Number of processes. With more than one, a script needs the usual ``if __name__ == "__main__":``.
        executor: Executor of the work; None uses processes of this machine.
        progress: Called after each case.

    Raises:
        DataError: There are no finished predictions, none is of these cases, or one is a training case.
    """
    protocol = (protocol or Protocol()).model_copy(update={"reference_labels": None})
    found = read_prediction_set(predictions)
    if found.state != "finished":
        raise DataError(f"{predictions.name}: predicting was interrupted. Continue with `pancascade predict --resume`.")
    chosen, left_out = _chosen(predictions.name, found, cases, part)
    if not allow_training_cases:
        _require_held_out(method, found, chosen)
    as_empty = protocol.missing == "empty"
    failures = _failures(found, cases, left_out=left_out, as_empty=as_empty)
    done = {case.case for case in found.done}
    jobs = [
        DataSetJob(case, predictions, protocol, case.name in done) for case in chosen if case.name in done or as_empty
    ]
    slices: list[EvaluatedSlices] = []
    records: list[CaseRecord] = []
    for outcome in _measured(jobs, workers=workers, executor=executor, progress=progress):
        for one in outcome:
            kind = failures if isinstance(one, Failure) else slices if isinstance(one, EvaluatedSlices) else records
            kind.append(one)  # type: ignore[arg-type]
    records += _of_patients(slices)
    ordered = tuple(sorted(records, key=lambda record: record.case))
    return Evaluation(method, protocol, ordered, tuple(sorted(failures)), left_out)


def _chosen(
    name: str, found: PredictionSet, cases: Sequence[Case], part: SplitPart | None
) -> tuple[list[Case], dict[str, str]]:
    """Return the predicted cases of the part; and predicted cases of other parts, with the part of each."""
    wanted = {case.case for case in found.cases}
    chosen = [case for case in cases if case.name in wanted]
    if not chosen:
        raise DataError(f"{name}: no case of the data set is among the predictions. Is it another data set?")
    if part is None:
        return chosen, {}
    left_out = part.left_out([case.name for case in chosen], {case.name: case.patient for case in chosen})
    chosen = [case for case in chosen if case.name not in left_out]
    if not chosen:
        raise DataError(f"{part.split.name}: none of the predictions belongs to its {part.part} part.")
    return chosen, left_out


def _failures(
    found: PredictionSet, cases: Sequence[Case], *, left_out: Mapping[str, str], as_empty: bool
) -> list[Failure]:
    """Return the predictions that cannot be measured, before any mask is read."""
    failed = [] if as_empty else [case for case in found.failed if case.case not in left_out]
    known = {case.name for case in cases}
    strange = [case.case for case in found.cases if case.case not in known]
    return [
        *(Failure(case.case, f"was not predicted: {case.message}") for case in failed),
        *(Failure(name, "no case of this name in the data set.") for name in strange),
    ]


def _require_held_out(method: str, found: PredictionSet, cases: Sequence[Case]) -> None:
    marks = {str(mark) for record in found.trained_on for mark in record.get("patients", ())}
    seen = sorted({case.patient for case in cases if patient_mark(case.patient) in marks})
    if seen:
        raise DataError(
            f"{method}: the weights were trained on {listed(seen)}. Leave them out with --split, or ask for them with "
            "--allow-training-cases."
        )


def _measured(
    jobs: Sequence[DataSetJob], *, workers: int, executor: Executor | None, progress: Progress | None
) -> Iterator[list[EvaluatedSlices | CaseRecord | Failure]]:
    if progress is not None:
        progress(0, len(jobs))
    for done, (job, outcome) in enumerate(each_job(measure_job, jobs, workers=workers, executor=executor), start=1):
        died = Failure(job.case.name, "the process that worked on this case died, probably out of memory.")
        yield [died] if outcome is None else outcome
        if progress is not None:
            progress(done, len(jobs))


def measure_job(job: DataSetJob) -> list[EvaluatedSlices | CaseRecord | Failure]:
    """Return the record of a whole scan, or the counts of each single slice, or a failure."""
    try:
        if job.case.scan is None:
            return [_counts(axial, job) for axial in job.case.read_slices()]
        _, reference = job.case.scan.read()
        mask = read_volume(job.folder / volume_mask_name(job.case.name)) if job.predicted else None
        name, patient = job.case.name, job.case.patient
        return [measure_case(reference, mask, case=name, patient=patient, protocol=job.protocol)]
    except PancascadeError as error:
        return [Failure(job.case.name, str(error))]


def _counts(axial: AxialSlice, job: DataSetJob) -> EvaluatedSlices:
    labels = np.zeros(axial.labels.shape, np.uint8)
    if job.predicted:
        labels = read_slice_mask(job.folder / slice_mask_name(axial.name), axial)
    known = {value for wanted in job.protocol.labels.values() for value in wanted}
    if job.protocol.other_labels == "refuse" and not np.isin(labels, [0, *known]).all():
        raise DataError(f"{slice_mask_name(axial.name)}: holds values that no target names. Predict again.")
    counts = {
        target: confusion(np.isin(labels, values), np.isin(axial.labels, values))
        for target, values in job.protocol.labels.items()
    }
    return EvaluatedSlices(axial.patient, axial.name, counts)


def read_slice_mask(path: Path, axial: AxialSlice) -> NDArray[np.uint8]:
    """Read the predicted labels (H, W) of a slice, with rows in the slice's order.

    Args:
        path: PNG written by `predict_cases`.
        axial: The slice that was predicted.

    Raises:
        DataError: The file is missing, no such picture, or of another size.
    """
    try:
        with Image.open(path) as picture:
            labels = np.asarray(picture)
    except PICTURE_FAULTS as error:
        raise DataError(f"{path.name}: missing, or not a readable picture. Predict again.") from error
    if labels.shape != axial.labels.shape or labels.dtype != np.uint8:
        raise DataError(f"{path.name}: {labels.shape} pixels, but its slice has {axial.labels.shape}. Predict again.")
    return labels[::-1] if axial.flipped_rows else labels


def _of_patients(slices: Sequence[EvaluatedSlices]) -> list[CaseRecord]:
    by_patient: dict[str, list[EvaluatedSlices]] = {}
    for one in sorted(slices, key=lambda counts: counts.name):
        by_patient.setdefault(one.patient, []).append(one)
    return [
        slice_record(patient, {target: [one.targets[target] for one in found] for target in found[0].targets})
        for patient, found in by_patient.items()
    ]
