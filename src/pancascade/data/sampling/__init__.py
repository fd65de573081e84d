"""Sampling of batches from cases."""

from pancascade.data.sampling.augmentation import augment
from pancascade.data.sampling.augmentation_settings import Augmentation
from pancascade.data.sampling.batch import Batch
from pancascade.data.sampling.batching import SampleSet, contains, draw_batches
from pancascade.data.sampling.slices import SliceSet, load_slices
from pancascade.data.sampling.volumes import VolumeSet, load_volumes

__all__ = [
    "Augmentation",
    "Batch",
    "SampleSet",
    "SliceSet",
    "VolumeSet",
    "augment",
    "contains",
    "draw_batches",
    "load_slices",
    "load_volumes",
]
