from pancascade.imaging.volume.box import Box
from pancascade.imaging.volume.cropping import crop, paste
from pancascade.imaging.volume.float16 import at_least, highest
from pancascade.imaging.volume.label_map import as_label_map
from pancascade.imaging.volume.memory_mapping import memory_mapped, release, sampled, slabs
from pancascade.imaging.volume.orientation import reorient, restore
from pancascade.imaging.volume.planes import onto_planes
from pancascade.imaging.volume.resampling import resample_onto, resample_to_spacing
from pancascade.imaging.volume.volume import Volume

__all__ = [
    "Box",
    "Volume",
    "as_label_map",
    "at_least",
    "crop",
    "highest",
    "memory_mapped",
    "onto_planes",
    "paste",
    "release",
    "reorient",
    "resample_onto",
    "resample_to_spacing",
    "restore",
    "sampled",
    "slabs",
]
