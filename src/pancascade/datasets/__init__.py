"""Data sets as distributed, read into cases."""

from pancascade.datasets.case import AxialSlice, Case, LabelledScan, require_files
from pancascade.datasets.corrected_results import corrected_results
from pancascade.datasets.layout import READERS, Layout, PictureReading, read_data_set, recognise
from pancascade.datasets.msd import msd
from pancascade.datasets.nih_pancreas_ct import nih_pancreas_ct
from pancascade.datasets.nnunet_raw import nnunet_raw
from pancascade.datasets.panorama import panorama
from pancascade.datasets.prepared_store import prepared_store
from pancascade.datasets.region_folder import region_folder
from pancascade.datasets.slice_folder import slice_folder
from pancascade.datasets.splits import PARTS, Part, cases_of, draw_split, read_split
from pancascade.datasets.volume_list import listed_images, volume_list

__all__ = [
    "PARTS",
    "READERS",
    "AxialSlice",
    "Case",
    "LabelledScan",
    "Layout",
    "Part",
    "PictureReading",
    "cases_of",
    "corrected_results",
    "draw_split",
    "listed_images",
    "msd",
    "nih_pancreas_ct",
    "nnunet_raw",
    "panorama",
    "prepared_store",
    "read_data_set",
    "read_split",
    "recognise",
    "region_folder",
    "require_files",
    "slice_folder",
    "volume_list",
]
