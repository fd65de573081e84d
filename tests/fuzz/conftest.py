import sys
from pathlib import Path

from small_pictures import small_pictures

__all__ = ["small_pictures"]

# Phantoms, DICOM files, masks and data sets are drawn once, beside the tests that they were drawn for.
for folder in ("inference", "imaging/io", "evaluation", "data/store", "reproduction", "inference/external"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))
