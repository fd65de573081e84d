"""The papers' inference: masks of many cases by one checkpoint, and how well its stage 1 locates."""

from pancascade.evaluation.prediction_set import (
    PredictedCase,
    PredictionSet,
    PredictionSource,
    read_prediction_set,
)
from pancascade.prediction.localization import localization_rows
from pancascade.prediction.predict_cases import find_checkpoint, predict_cases

__all__ = [
    "PredictedCase",
    "PredictionSet",
    "PredictionSource",
    "find_checkpoint",
    "localization_rows",
    "predict_cases",
    "read_prediction_set",
]
