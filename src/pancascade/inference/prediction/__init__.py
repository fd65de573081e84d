"""The papers' inference: masks of many cases by one checkpoint, and how well its stage 1 locates."""

from pancascade.inference.prediction.localization_rows import localization_rows
from pancascade.inference.prediction.predict_cases import find_checkpoint, predict_cases

__all__ = ["find_checkpoint", "localization_rows", "predict_cases"]
