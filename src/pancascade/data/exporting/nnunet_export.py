"""Export of a data set to nnU-Net's raw layout, with our labels and split, for fair comparisons."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pancascade.data.readers import Case, require_files
from pancascade.errors import DataError, PancascadeError, listed
from pancascade.execution.parallel import each_in_processes
from pancascade.files.atomic import written_whole
from pancascade.imaging.io import write_volume
from pancascade.labels import Label

ENDING = ".nii.gz"

SEAL, SPLITS = "dataset.json", "splits_final.json"

Target = Literal["both", "pancreas"]

Progress = Callable[[int, int], None]
"""Called with the number of cases written and of all cases."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class NnunetExport:
    """Result of an export.

    Attributes:
        folder: Folder of the export, such as ``nnUNet_raw/Dataset007_Pancreas``.
        training: Cases in ``imagesTr``.
        test: Cases in ``imagesTs``.
        folds: Number of folds in ``splits_final.json``.
    """

    folder: Path
    training: tuple[str, ...]
    test: tuple[str, ...]
    folds: int


@dataclass(frozen=True)
class _ExportJob:
    case: Case
    images: Path
    labels: Path
    target: Target


def export_nnunet(
    cases: Sequence[Case],
    folder: Path,
    *,
    folds: Sequence[Mapping[str, frozenset[str]]],
    target: Target = "both",
    workers: int = 1,
    progress: Progress | None = None,
) -> NnunetExport:
    """Write a data set for nnU-Net v2.

    Cases in the train or validation part of any fold go to ``imagesTr`` and ``labelsTr``. Cases only in test parts go
    to ``imagesTs`` and ``labelsTs``. Cases of no part are left out. ``dataset.json`` is written last, so it marks a
    complete export. Images are Hounsfield units on the scan's own grid; labels are 1 pancreas, 2 tumour, or 1 for both.

    Args:
        cases: Whole scans with label maps, of any layout.
        folder: Target, such as ``nnUNet_raw/Dataset007_Pancreas``; created if missing.
        folds: Patients of the train, validation and test part, once, or once per fold.
        target: ``both`` labels, or the ``pancreas`` with any tumour in it.
        workers: Number of processes. With more than one, a script needs the usual ``if __name__ == "__main__":``.
        progress: Called after each case.

    Returns:
        Summary of the export.

    Raises:
        DataError: A case is no whole scan, or has no label map, a name that nnU-Net does not accept, or a missing file;
            the folder already holds a data set; or a fold has nobody to train on or to validate.
        ScanError: A scan cannot be read.
        OutputError: The folder cannot be written.

    Source: nnU-Net v2, ``documentation/dataset_format.md`` and ``documentation/manual_data_splits.md``.
    """
    if (folder / SEAL).exists():
        raise DataError(f"{folder.name}: holds a data set already. Choose another --id, --name or --out.")
    learned = frozenset().union(*(fold["train"] | fold["validation"] for fold in folds))
    tested = frozenset().union(*(fold["test"] for fold in folds)) - learned
    training = [case for case in cases if case.patient in learned]
    test = [case for case in cases if case.patient in tested]
    splits = [_split(training, fold) for fold in folds]
    _require_usable([*training, *test])
    jobs = [
        _ExportJob(case, folder / f"images{end}", folder / f"labels{end}", target)
        for case, end in _placed(training, test)
    ]
    for done, (job, trouble) in enumerate(each_in_processes(_written, jobs, workers=workers), start=1):
        if trouble is None:
            raise DataError(f"{job.case.name}: the process that wrote it ended, perhaps for lack of memory.")
        if trouble:
            raise DataError(trouble)
        if progress is not None:
            progress(done, len(jobs))
    _write_json(folder / SPLITS, splits)
    names = {"background": 0, "pancreas": 1, "tumour": 2} if target == "both" else {"background": 0, "pancreas": 1}
    about = {"channel_names": {"0": "CT"}, "labels": names, "numTraining": len(training), "file_ending": ENDING}
    _write_json(folder / SEAL, about)
    return NnunetExport(
        folder, tuple(case.name for case in training), tuple(case.name for case in test), folds=len(splits)
    )


def _placed(training: Sequence[Case], test: Sequence[Case]) -> list[tuple[Case, str]]:
    return [*((case, "Tr") for case in training), *((case, "Ts") for case in test)]


def _split(training: Sequence[Case], fold: Mapping[str, frozenset[str]]) -> dict[str, list[str]]:
    """Return the names of a fold's training and validation cases; without validation, its test cases."""
    validated = fold["validation"] or fold["test"]
    found = {
        "train": sorted(case.name for case in training if case.patient in fold["train"]),
        "val": sorted(case.name for case in training if case.patient in validated),
    }
    if not found["train"] or not found["val"]:
        raise DataError("The split leaves nobody to train on or to validate, and nnU-Net needs both. Draw another one.")
    return found


def _require_usable(cases: Sequence[Case]) -> None:
    without = [case.name for case in cases if case.scan is None or case.scan.label is None]
    if without:
        raise DataError(f"{listed(without)}: no whole scan with a label map, and nnU-Net needs both. Leave it out.")
    odd = [case.name for case in cases if not _NAME.fullmatch(case.name)]
    if odd:
        raise DataError(f"{listed(odd)}: nnU-Net takes names of letters, digits, - and _ only. Rename the files.")
    lower = [case.name.casefold() for case in cases]
    twice = sorted({name for name in lower if lower.count(name) > 1}) if len(set(lower)) < len(lower) else []
    if twice:
        raise DataError(f"{listed(twice)}: the name of two cases. Rename one.")
    require_files(cases)


def _written(job: _ExportJob) -> str:
    """Write a case; return the error as a sentence, or an empty text."""
    scan = job.case.scan
    if scan is None:
        return "no whole scan."
    try:
        image, labels = scan.read_ct()
        voxels = labels.voxels
        if job.target == "pancreas":
            voxels = np.isin(voxels, (Label.PANCREAS, Label.TUMOUR)).astype(np.uint8)
        write_volume(image, job.images / f"{job.case.name}_0000{ENDING}")
        write_volume(labels.with_voxels(voxels), job.labels / f"{job.case.name}{ENDING}", dtype=np.uint8)
    except PancascadeError as error:
        return str(error)
    return ""


def _write_json(path: Path, content: Any) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
