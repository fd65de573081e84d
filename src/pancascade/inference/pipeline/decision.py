"""Decide the labels of a scan from its probabilities: what is returned, and what is marked."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pancascade.imaging.volume import Volume
from pancascade.inference.localization.region_probabilities import RegionProbabilities
from pancascade.inference.pipeline.tumour_score import patient_tumour_score
from pancascade.inference.pipeline.withholding import handed_out
from pancascade.inference.runners.loading import LoadedModel
from pancascade.messages.notices import Notice
from pancascade.results.location import Thresholds


class Decision(NamedTuple):
    """Labels of a scan, with the prediction and the notices behind them.

    Attributes:
        prediction: The prediction that is returned; empty where it is withheld.
        labels: (I, J, K) uint8 on the grid of the LPS scan.
        thresholds: Thresholds of the labels.
        tumour_score: The scan's tumour score; 0 where nothing is returned.
        withheld: A notice if the prediction is withheld.
        unmarked: A notice if a tumour is not marked because of the tumour score.
    """

    prediction: RegionProbabilities
    labels: NDArray[np.uint8]
    thresholds: Thresholds
    tumour_score: float
    withheld: list[Notice]
    unmarked: list[Notice]


def decide_labels(
    prediction: RegionProbabilities,
    scan_lps: Volume,
    loaded_models: Sequence[LoadedModel],
    *,
    keep_doubtful: bool = False,
    organ_given: bool = False,
) -> Decision:
    """Apply the models' thresholds and rules to a prediction and return the labels.

    Args:
        prediction: A prediction with calibrated probabilities.
        scan_lps: The scan, oriented LPS.
        loaded_models: The models.
        keep_doubtful: Also return what is no plausible pancreas.
        organ_given: Whether the organ is a given mask, which is kept voxel for voxel.
    """
    thresholds = thresholds_of(loaded_models)
    tumour_score = round(patient_tumour_score(prediction, scan_lps.spacing_mm), 4)
    kept, withheld = handed_out(
        prediction, keep_doubtful=keep_doubtful, voxel_ml=scan_lps.voxel_volume_ml, threshold=thresholds.organ
    )
    thresholds, unmarked = by_tumour_score(kept, thresholds, loaded_models, tumour_score=tumour_score)
    labels = kept.labels(
        scan_lps.shape,
        spacing_mm=scan_lps.spacing_mm,
        organ_threshold=thresholds.organ,
        tumour_threshold=thresholds.least_tumour,
        component_rules=all(loaded_model.additions.component_rules for loaded_model in loaded_models),
        organ_given=organ_given,
    )
    return Decision(kept, labels, thresholds, 0.0 if kept.box is None else tumour_score, withheld, unmarked)


def thresholds_of(loaded_models: Sequence[LoadedModel]) -> Thresholds:
    """Return the mean of the models' thresholds, or ½ if the tuned thresholds of a model are switched off."""
    if not all(loaded_model.additions.tuned_thresholds for loaded_model in loaded_models):
        return Thresholds()
    return Thresholds(
        organ=float(np.mean([loaded_model.model.organ_threshold for loaded_model in loaded_models])),
        tumour=float(np.mean([loaded_model.model.tumour_threshold for loaded_model in loaded_models])),
    )


def by_tumour_score(
    prediction: RegionProbabilities,
    thresholds: Thresholds,
    loaded_models: Sequence[LoadedModel],
    *,
    tumour_score: float,
) -> tuple[Thresholds, list[Notice]]:
    """Return the thresholds of one scan: below the models' least tumour score no tumour is marked, with a notice.

    Args:
        prediction: A prediction with calibrated probabilities.
        thresholds: The models' own.
        loaded_models: The models.
        tumour_score: The scan's tumour score.
    """
    least = float(np.mean([loaded_model.model.least_tumour_score for loaded_model in loaded_models]))
    if tumour_score >= least or not all(loaded_model.additions.tumour_score for loaded_model in loaded_models):
        return thresholds, []
    found = thresholds.model_copy(update={"tumour_marked": False})
    if prediction.box is None or not (prediction.tumour >= thresholds.tumour).any():
        return found, []
    notice = Notice(
        code="tumour_unmarked",
        severity="information",
        about="result",
        sentence=f"No tumour is marked: the tumour score {tumour_score:.2f} is below {least:.2f}. To mark voxels from "
        f"{thresholds.tumour:.2f} on, use `pancascade threshold --tumour` after --save-probabilities.",
        values={"tumour_score": tumour_score, "least": round(least, 3)},
    )
    return found, [notice]


def average(predictions: Sequence[RegionProbabilities]) -> RegionProbabilities:
    """Return the mean of several predictions of a scan, rounded to the stored precision."""
    return RegionProbabilities.mean(predictions).rounded()
