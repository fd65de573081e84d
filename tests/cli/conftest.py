import sys
from pathlib import Path

# The phantom is drawn once, beside the tests of inference.
sys.path.insert(0, str(Path(__file__).parents[1] / "inference"))
