"""Masks that a reader has corrected, saved beside the result."""

from pancascade.results.corrections.keeping import keep_corrected, not_kept, prepare_folder
from pancascade.results.corrections.packed_label_map import MOST_BYTES, read_packed_label_map, require_size
from pancascade.results.corrections.record import (
    FOLDER,
    Correction,
    CorrectionRecord,
    SegmentedScan,
    corrections_of,
    has_corrections,
    newest_correction,
    read_segmented_scan,
)
from pancascade.results.corrections.saving import UnchangedError, author_name, save_correction, save_label_map

__all__ = [
    "FOLDER",
    "MOST_BYTES",
    "Correction",
    "CorrectionRecord",
    "SegmentedScan",
    "UnchangedError",
    "author_name",
    "corrections_of",
    "has_corrections",
    "keep_corrected",
    "newest_correction",
    "not_kept",
    "prepare_folder",
    "read_packed_label_map",
    "read_segmented_scan",
    "require_size",
    "save_correction",
    "save_label_map",
]
