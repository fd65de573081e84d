import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "inference"))

from phantom_models import make_model

from small_pictures import small_pictures

__all__ = ["make_model", "small_pictures"]
