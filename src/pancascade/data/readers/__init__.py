"""Readers of data sets in their distributed layouts."""

from pancascade.data.readers.case import AxialSlice, Case, LabelledScan, require_files
from pancascade.data.readers.corrected_results import corrected_results
from pancascade.data.readers.data_set_layout import READERS, Layout, PictureReading, read_data_set, recognise
from pancascade.data.readers.msd import msd
from pancascade.data.readers.nih_pancreas_ct import nih_pancreas_ct
from pancascade.data.readers.nnunet_raw import nnunet_raw
from pancascade.data.readers.panorama import panorama
from pancascade.data.readers.prepared_store import prepared_store
from pancascade.data.readers.region_folder import region_folder
from pancascade.data.readers.slice_folder import slice_folder
from pancascade.data.readers.volume_list import listed_images, volume_list

__all__ = [
    "READERS",
    "AxialSlice",
    "Case",
    "LabelledScan",
    "Layout",
    "PictureReading",
    "corrected_results",
    "listed_images",
    "msd",
    "nih_pancreas_ct",
    "nnunet_raw",
    "panorama",
    "prepared_store",
    "read_data_set",
    "recognise",
    "region_folder",
    "require_files",
    "slice_folder",
    "volume_list",
]
