"""Masks against references, and stage 1 against the truth, in the numbers that the tables need."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pancascade.datasets import AxialSlice, Case
from pancascade.errors import DataError
from pancascade.evaluation import CaseRecord, Protocol, measure_case, slice_record
from pancascade.evaluation.localization import LocalizationRow
from pancascade.evaluation.prediction_set import slice_mask_name, volume_mask_name
from pancascade.io import read_label_map
from pancascade.io.file_names import match_names
from pancascade.metrics import Confusion, confusion
from pancascade.parallel import each_in_processes
from pancascade.reproduction.measured import CaseValue
from pancascade.reproduction.published import CaseQuantity


@dataclass(frozen=True)
class MaskJob:
    """A case and its masks.

    Attributes:
        case: With its reference.
        folder: Of the masks, named as `pancascade predict` names them.
        mask: Of a volume, where other software named it; None for the usual name.
        protocol: By which it counts.
    """

    case: Case
    folder: Path
    mask: Path | None
    protocol: Protocol


def measure_masks(
    cases: Sequence[Case],
    folder: Path,
    *,
    protocol: Protocol,
    named: Mapping[str, Path] | None = None,
    workers: int = 1,
) -> list[CaseRecord]:
    """Compare predicted masks with the references of a data set.

    Args:
        cases: That have masks.
        folder: Of the masks: ``CASE.nii.gz`` of volumes, ``SLICE.png`` of single slices.
        protocol: Whose targets are counted.
        named: Masks of volumes by case, where other software named them.
        workers: Processes.

    Returns:
        One record a volume, and one a patient of single slices.

    Raises:
        PancascadeError: A mask or reference is missing, or they do not fit each other.
    """
    jobs = [MaskJob(case, folder, (named or {}).get(case.name), protocol) for case in cases]
    records: dict[str, CaseRecord] = {}
    by_patient: dict[str, dict[str, dict[str, list[Confusion]]]] = {}
    for job, found in each_in_processes(measure_job, jobs, workers=workers):
        if found is None:
            raise DataError(f"{job.case.name}: the process that measured it died. Try again with --workers 1.")
        if isinstance(found, CaseRecord):
            records[job.case.name] = found
        else:
            by_patient.setdefault(job.case.patient, {})[job.case.name] = found
    slices = [_record_of(patient, by_case, protocol) for patient, by_case in sorted(by_patient.items())]
    return [records[case.name] for case in cases if case.name in records] + slices


def measure_job(job: MaskJob) -> CaseRecord | dict[str, list[Confusion]]:
    """A volume's record, or the counts of single slices by target."""
    if job.case.scan is None:
        return _measure_slices(job)
    _, labels = job.case.scan.read()
    path = job.mask or job.folder / volume_mask_name(job.case.name)
    return measure_case(
        labels, read_label_map(path), case=job.case.name, patient=job.case.patient, protocol=job.protocol
    )


def _measure_slices(job: MaskJob) -> dict[str, list[Confusion]]:
    counts: dict[str, list[Confusion]] = {target: [] for target in job.protocol.labels}
    for axial in job.case.read_slices():
        found = _read_mask(job.folder / slice_mask_name(axial.name), axial)
        for target, values in job.protocol.labels.items():
            counts[target].append(confusion(np.isin(found, values), np.isin(axial.labels, values)))
    return counts


def _read_mask(path: Path, axial: AxialSlice) -> np.ndarray:
    """The mask of a picture, turned as the slice is."""
    try:
        with Image.open(path) as picture:
            values = np.asarray(picture)
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name}: the mask of a slice is missing or damaged. Predict again.") from error
    if values.shape != axial.labels.shape:
        raise DataError(f"{path.name}: has {values.shape} pixels, its slice {axial.labels.shape}. Predict again.")
    return values[::-1] if axial.flipped_rows else values


def _record_of(patient: str, by_case: Mapping[str, Mapping[str, list[Confusion]]], protocol: Protocol) -> CaseRecord:
    counts = {target: [one for case in sorted(by_case) for one in by_case[case][target]] for target in protocol.labels}
    return slice_record(patient, counts, patient=patient)


def masks_of_other_software(name: str, folder: Path, cases: Iterable[Case]) -> dict[str, Path]:
    """Masks of volumes by case, found by their names in a folder.

    Args:
        name: Of the row, for messages.
        folder: Given as ``--masks NAME=FOLDER``.
        cases: Tested on.

    Raises:
        DataError: A case has none, or the data set has single slices.
    """
    from pancascade.evaluation.pairing import find_masks

    cases = list(cases)
    if any(case.scan is None for case in cases):
        raise DataError("--masks: masks of other software are for whole scans, and this data set has single slices.")
    found, _ = find_masks(folder)
    matched = match_names({case.name: case for case in cases}, found)
    missing = [case.name for case in cases if case.name not in matched]
    if missing:
        raise DataError(f"--masks {name}: {len(missing)} of {len(cases)} test cases have no mask, first {missing[0]}.")
    return matched


def stage_one_values(rows: Iterable[LocalizationRow], *, training: bool) -> dict[CaseQuantity, list[CaseValue]]:
    """The tables' numbers of stage 1.

    Args:
        rows: Of a checkpoint's stage 1.
        training: Whether the cases are those that it was trained on.
    """
    found: dict[CaseQuantity, list[CaseValue]] = {}

    def add(quantity: CaseQuantity, row: LocalizationRow, value: float) -> None:
        found.setdefault(quantity, []).append(CaseValue(case=row.case, patient=row.patient, value=value))

    for row in rows:
        if "box" in row.boxes:
            add("box_iou_training" if training else "box_iou_test", row, row.boxes["box"].iou)
        if training:
            continue
        if "B1" in row.boxes and "B2" in row.boxes:
            add("b1_recall", row, row.boxes["B1"].recall)
            add("b1_iou", row, row.boxes["B1"].iou)
            add("b2_recall", row, row.boxes["B2"].recall)
            add("b2_iou", row, row.boxes["B2"].iou)
        if "reduced grid" in row.dice:
            add("first_dice_reduced", row, row.dice["reduced grid"])
        grid = next((grid for grid in ("full grid", "network grid") if grid in row.dice), None)
        if grid is not None:
            add("first_dice", row, row.dice[grid])
    return found
