from pancascade.volume.box import Box
from pancascade.volume.cropping import crop, paste
from pancascade.volume.label_map import as_label_map
from pancascade.volume.orientation import reorient, restore
from pancascade.volume.paging import on_disk, release, sampled, slabs
from pancascade.volume.planes import onto_planes
from pancascade.volume.resampling import resample_onto, resample_to_spacing
from pancascade.volume.volume import Volume

__all__ = [
    "Box",
    "Volume",
    "as_label_map",
    "crop",
    "on_disk",
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
