"""From a scan to its segmentation."""

from pancascade.inference.models import DEFAULT_MODEL, Model, find_model, shipped_models
from pancascade.inference.segmentation import Segmentation
from pancascade.inference.segmenter import segment

__all__ = ["DEFAULT_MODEL", "Model", "Segmentation", "find_model", "segment", "shipped_models"]
