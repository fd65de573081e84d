"""From cases to batches."""

from pancascade.sampling.augmentation import augment
from pancascade.sampling.augmentation_settings import Augmentation
from pancascade.sampling.batch import Batch
from pancascade.sampling.dealing import SampleSet, contains, deal
from pancascade.sampling.slices import SliceSet, load_slices
from pancascade.sampling.volumes import VolumeSet, load_volumes

__all__ = [
    "Augmentation",
    "Batch",
    "SampleSet",
    "SliceSet",
    "VolumeSet",
    "augment",
    "contains",
    "deal",
    "load_slices",
    "load_volumes",
]
