"""Segment one scan or many."""

from pancascade.segmentation.segmentation import Segmentation
from pancascade.segmentation.segmenter import segment

__all__ = ["Segmentation", "segment"]
