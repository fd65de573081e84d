"""From cases to batches."""

from pancascade.sampling.augmentation import Augmentation, augment
from pancascade.sampling.slices import Batch, SliceSet, contains, deal, load_slices

__all__ = ["Augmentation", "Batch", "SliceSet", "augment", "contains", "deal", "load_slices"]
