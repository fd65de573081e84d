import sys
from pathlib import Path

# Phantoms, DICOM files, masks and data sets are drawn once, beside the tests that they were drawn for.
for folder in ("inference", "imaging/io", "evaluation", "data/store", "reproduction", "inference/external"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))
