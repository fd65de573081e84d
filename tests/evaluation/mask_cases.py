"""Small label maps and records for the tests of evaluation."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from pancascade.evaluation import CaseRecord, Evaluation, Failure, Protocol, TargetRecord
from pancascade.imaging.volume import Volume
from pancascade.metrics import Confusion, ScanDetections

SHAPE = (14, 12, 7)
AFFINE = np.array([[-0.8, 0, 0, 40.5], [0, -1.1, 0, 61.25], [0, 0, 2.5, -100], [0, 0, 0, 1]])
FAST = Protocol(resamples=200)


def label_map(seed: int, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """A pancreas (1) with a tumour (2) in it."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1.2)
    labels = (noise > np.quantile(noise, 0.8)).astype(np.uint8)
    labels[noise > np.quantile(noise, 0.96)] = 2
    return labels


def volume(labels: np.ndarray, name: str = "mask.nii.gz", affine: np.ndarray = AFFINE) -> Volume:
    return Volume(labels, affine, Path(name))


def record(
    case: str, pancreas: Sequence[tuple[int, ...]], *, patient: str | None = None, tumour=None, **fields
) -> CaseRecord:
    """A record with the (TP, FP, FN, TN) of each slice; fields go to the pancreas, those in mm to its distances."""
    distances = {key: fields.pop(key) for key in list(fields) if key.endswith("_mm")}
    fields["distances_mm"] = {key: mm for key, mm in distances.items() if mm is not None}
    targets = {"pancreas": TargetRecord(slices=tuple(Confusion(*counts) for counts in pancreas), **fields)}
    if tumour is not None:
        targets["tumour"] = TargetRecord(slices=tuple(Confusion(*counts) for counts in tumour))
    return CaseRecord(
        case=case,
        patient=patient or case,
        prediction=f"{case}.nii.gz",
        reference=f"reference/{case}.nii.gz",
        shape=(10, 10, len(pancreas)),
        spacing_mm=(1.0, 1.0, 2.0),
        voxel_ml=0.002,
        diagonal_mm=20.0,
        targets=targets,
    )


def with_detections(case: CaseRecord, detections: ScanDetections) -> CaseRecord:
    return case.model_copy(update={"detections": detections})


def evaluation(
    method: str, cases: Sequence[CaseRecord], protocol: Protocol = FAST, failures: Sequence[Failure] = ()
) -> Evaluation:
    return Evaluation(method, protocol, tuple(cases), tuple(failures))


def simple(case: str, both: int, *, patient: str | None = None, wanted: int = 50, **fields) -> CaseRecord:
    """One slice of 100 voxels, of which `wanted` are the target and `both` of these were found."""
    return record(case, [(both, 0, wanted - both, 100 - wanted)], patient=patient, **fields)
