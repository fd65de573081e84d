"""Measure masks of other software against the references, and stage 1 in the quantities of the tables."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pancascade.data.readers import Case
from pancascade.errors import DataError
from pancascade.evaluation import CaseRecord, Protocol, measure_case
from pancascade.evaluation.localization import IMAGE_GRID, OWN_GRID, LocalizationRow
from pancascade.evaluation.pairing import find_masks
from pancascade.execution.parallel import each_in_processes
from pancascade.files.file_names import match_names
from pancascade.imaging.io import read_label_map
from pancascade.reproduction.measured import CaseValue
from pancascade.reproduction.published_numbers import CaseQuantity


@dataclass(frozen=True)
class MaskJob:
    """A scan and a mask of it.

    Attributes:
        case: The scan with its reference.
        mask: Mask by other software.
        protocol: Protocol of the evaluation.
    """

    case: Case
    mask: Path
    protocol: Protocol


def measure_masks(
    cases: Sequence[Case], masks: Mapping[str, Path], *, protocol: Protocol, workers: int = 1
) -> list[CaseRecord]:
    """Compare masks of other software with the references of a data set.

    Args:
        cases: Whole scans.
        masks: Mask of each case, by its name.
        protocol: Protocol with the targets.
        workers: Number of processes.

    Raises:
        PancascadeError: A mask or reference cannot be read, or they do not fit each other.
    """
    jobs = [MaskJob(case, masks[case.name], protocol) for case in cases]
    records: dict[str, CaseRecord] = {}
    for job, found in each_in_processes(measure_job, jobs, workers=workers):
        if found is None:
            raise DataError(f"{job.case.name}: the process that measured it died. Try again with --workers 1.")
        records[job.case.name] = found
    return [records[case.name] for case in cases]


def measure_job(job: MaskJob) -> CaseRecord:
    """Return the record of one scan."""
    if job.case.scan is None:
        raise DataError(f"{job.case.name}: a single slice, but masks of other software need whole scans.")
    _, labels = job.case.scan.read()
    name, patient = job.case.name, job.case.patient
    return measure_case(labels, read_label_map(job.mask), case=name, patient=patient, protocol=job.protocol)


def masks_of_other_software(name: str, folder: Path, cases: Iterable[Case]) -> dict[str, Path]:
    """Find the masks of scans in a folder, by the names of the cases.

    Args:
        name: Name of the row, for messages.
        folder: Folder given as ``--masks NAME=FOLDER``.
        cases: Test cases.

    Raises:
        DataError: A case has no mask, or the data set has single slices.
    """
    cases = list(cases)
    if any(case.scan is None for case in cases):
        raise DataError("--masks: masks of other software need whole scans, but this data set has single slices.")
    found, _ = find_masks(folder)
    matched = match_names({case.name: case for case in cases}, found)
    missing = [case.name for case in cases if case.name not in matched]
    if missing:
        raise DataError(f"--masks {name}: {len(missing)} of {len(cases)} test cases have no mask, first {missing[0]}.")
    return matched


def stage_one_values(rows: Iterable[LocalizationRow], *, training: bool) -> dict[CaseQuantity, list[CaseValue]]:
    """Return the tables' numbers of stage 1.

    Args:
        rows: Rows of a checkpoint's stage 1.
        training: Whether the cases are the training cases.
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
        if IMAGE_GRID in row.dice:
            add("first_dice_reduced", row, row.dice[OWN_GRID])
        for grid in (IMAGE_GRID, OWN_GRID):
            if grid in row.dice:
                add("first_dice", row, row.dice[grid])
                break
    return found
