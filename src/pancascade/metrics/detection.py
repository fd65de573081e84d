"""Detection of the lesions of one scan by a prediction."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pancascade.metrics.lesions import Components, find_components, match_by_centre, match_by_iou


@dataclass(frozen=True)
class DetectedLesion:
    """One lesion of the reference.

    Attributes:
        diameter_mm: Longest axial diameter of the lesion.
        volume_ml: Volume of the lesion.
        confidence: Confidence of the matching candidate; None for a missed lesion.
        iou: IoU with that candidate; 0 for a missed lesion.
    """

    diameter_mm: float
    volume_ml: float
    confidence: float | None
    iou: float


@dataclass(frozen=True)
class ScanDetections:
    """Lesions of the reference and detections in one scan.

    Attributes:
        patient: Patient of the scan.
        lesions: Lesions of the reference.
        false_positives: Confidences of the candidates that hit no lesion.
        score: Likelihood that the scan shows a lesion, of any scale.
    """

    patient: str
    lesions: tuple[DetectedLesion, ...]
    false_positives: tuple[float, ...]
    score: float

    @property
    def has_lesion(self) -> bool:
        """Whether the reference has a lesion; a scan without one is healthy."""
        return bool(self.lesions)


def detect(
    prediction: NDArray[Any] | None,
    reference: NDArray[Any],
    spacing_mm: tuple[float, float, float],
    *,
    patient: str,
    confidence: NDArray[Any] | None = None,
    candidates: Literal["labels", "map"] = "labels",
    hit: Literal["iou", "centre"] = "iou",
    least_iou: float = 0.15,
    score: float | None = None,
) -> ScanDetections:
    """Match the lesions of one scan with the candidates of a prediction.

    Args:
        prediction: (I, J, K) mask; None with candidates from the map.
        reference: (I, J, K) mask; its 26-connected components are the lesions.
        spacing_mm: Voxel spacing along each axis.
        patient: Patient of the scan.
        confidence: (I, J, K), not negative; a candidate's confidence is its largest value; 1 without a map.
        candidates: 26-connected components of the prediction (``labels``) or of the confidence above 0 (``map``: a
            detection map of PI-CAI and PANORAMA, with one value per component).
        hit: See `match_by_iou` and `match_by_centre`.
        least_iou: Least IoU of a hit by ``iou``.
        score: Likelihood that the patient has a lesion; None takes the largest confidence, 0 without candidates.

    Raises:
        ValueError: Shapes differ, the array of candidates is missing, a confidence is negative or not a number, or
            the map has several values in a component.
    """
    for name, array in (("prediction", prediction), ("confidence", confidence)):
        if array is not None and array.shape != reference.shape:
            raise ValueError(f"{name} has shape {array.shape}, reference {reference.shape}; they must be equal")
    lesions = find_components(reference)
    found = _find_in_map(confidence) if candidates == "map" else _find_in_mask(prediction)
    confidences = np.ones(found.count) if confidence is None else found.largest(confidence)
    if not (np.isfinite(confidences) & (confidences >= 0)).all():
        raise ValueError("a candidate's confidence is negative, infinite or NaN; give a map of likelihoods from 0 up")
    if hit == "iou":
        matching = match_by_iou(lesions, found, least_iou=least_iou)
    else:
        matching = match_by_centre(lesions, found, confidences)
    values: list[float] = confidences.tolist()
    sizes = zip(lesions.diameters_mm(spacing_mm).tolist(), lesions.volumes_ml(spacing_mm).tolist(), strict=True)
    return ScanDetections(
        patient,
        tuple(
            DetectedLesion(diameter, volume, None if candidate is None else values[candidate], iou)
            for (diameter, volume), candidate, iou in zip(sizes, matching.found_by, matching.iou, strict=True)
        ),
        tuple(values[candidate] for candidate in matching.false_positives),
        max(values, default=0.0) if score is None else float(score),
    )


def _find_in_mask(prediction: NDArray[Any] | None) -> Components:
    if prediction is None:
        raise ValueError("candidates from labels need a prediction; give the mask, or take candidates from the map")
    return find_components(prediction)


def _find_in_map(confidence: NDArray[Any] | None) -> Components:
    if confidence is None:
        raise ValueError("candidates from a map need the map of confidences; give it, or take candidates from labels")
    if not confidence.min(initial=0) >= 0:
        raise ValueError("the detection map holds negative values or NaN; background is 0, candidates are above 0")
    found = find_components(confidence > 0)
    part = confidence[found.box.slices]
    values = len(np.unique(part[part > 0]))
    if values > found.count:
        raise ValueError(
            f"the detection map holds {values} different values in {found.count} components, so it is no detection "
            "map but probabilities. Give each component one value, or take candidates from labels."
        )
    return found
