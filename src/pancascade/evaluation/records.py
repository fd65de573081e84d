"""Records of cases: counts and distances, independent of rules about empty masks and averages."""

import math
from collections.abc import Mapping, Sequence

from pydantic import Field

from pancascade.evaluation.pairing import Failure
from pancascade.metrics import Confusion, ScanDetections
from pancascade.settings import Settings


class TargetRecord(Settings):
    """Measurements of one target (pancreas, tumour) of one case.

    Attributes:
        slices: Counts of each axial slice, from the feet up.
        distances_mm: Surface metrics by key, from `distances_of`; empty if a mask is empty, or for slices without a
            volume.
        nsd: Normalised surface Dice at each tolerance of the protocol.
        box_recall: Share of the reference's box inside the prediction's; None without a reference.
        box_iou: IoU of the two boxes; None without a reference and a prediction.
    """

    slices: tuple[Confusion, ...]
    distances_mm: dict[str, float] = Field(default_factory=dict)
    nsd: tuple[float, ...] | None = None
    box_recall: float | None = None
    box_iou: float | None = None

    @property
    def total(self) -> Confusion:
        """Counts of the whole scan."""
        return Confusion.total(self.slices)


class CaseRecord(Settings, allow_inf_nan=True):
    """Comparison of one prediction with its reference; values that single slices cannot have are NaN.

    Attributes:
        case: Name of the case, from its files.
        patient: Patient of the scan; scans of a patient are resampled together.
        prediction: File of the prediction; None for a missing one that counts as empty.
        reference: File of the reference.
        shape: Shape of the reference's grid, reoriented to right, anterior, superior.
        spacing_mm: Spacing of the same axes.
        voxel_ml: Volume of a voxel.
        diagonal_mm: Diagonal of the whole scan.
        targets: Measurements by target.
        detections: Detections of the protocol's lesion target.
        notes: Changes made to compare the two, and notices of reading.
    """

    case: str
    patient: str
    prediction: str | None
    reference: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    voxel_ml: float
    diagonal_mm: float
    targets: dict[str, TargetRecord]
    detections: ScanDetections | None = None
    notes: tuple[str, ...] = ()


Outcome = CaseRecord | Failure


def slice_record(case: str, slices: Mapping[str, Sequence[Confusion]], *, patient: str | None = None) -> CaseRecord:
    """Return the record of axial slices without a volume, as in 2-D data sets: overlap only, no mm.

    Args:
        case: Name of the case, usually of the patient.
        slices: Counts of each slice, by target.
        patient: Patient of the slices; None uses the case's name.
    """
    return CaseRecord(
        case=case,
        patient=patient or case,
        prediction=None,
        reference="slices",
        shape=(0, 0, max(len(counts) for counts in slices.values())),
        spacing_mm=(math.nan, math.nan, math.nan),
        voxel_ml=math.nan,
        diagonal_mm=math.nan,
        targets={target: TargetRecord(slices=tuple(counts)) for target, counts in slices.items()},
    )
