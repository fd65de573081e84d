"""Inference as in the papers: masks of many cases by one checkpoint, and the accuracy of its stage 1."""

from pancascade.inference.prediction.localization_rows import localization_rows
from pancascade.inference.prediction.predict_cases import find_checkpoint, predict_cases

__all__ = ["find_checkpoint", "localization_rows", "predict_cases"]
