import sys
from pathlib import Path

# DICOM series are written beside the tests of reading.
sys.path.insert(0, str(Path(__file__).parents[1] / "imaging" / "io"))
