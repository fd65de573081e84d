"""pancascade: find the pancreas and pancreatic tumours in CT with cascades.

`__all__` is the public interface. Other modules may change from one version to the next.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pancascade.api import Evaluated, TrainedRun, compare, evaluate, train
    from pancascade.data.readers import Case, read_data_set
    from pancascade.data.splits.splits import read_split
    from pancascade.errors import PancascadeError
    from pancascade.evaluation import Protocol
    from pancascade.imaging.io import read_label_map, read_scan, read_volume, write_volume
    from pancascade.imaging.volume import Volume
    from pancascade.results.result import Result, read_result
    from pancascade.segmentation import Segmentation, segment
    from pancascade.segmentation import Segmentation as Prediction
    from pancascade.segmentation.batch import SegmentedCase, segment_many
    from pancascade.segmentation.thresholding import load_segmentation

__version__ = "0.1.0"
__all__ = [
    "Case",
    "Evaluated",
    "PancascadeError",
    "Prediction",
    "Protocol",
    "Result",
    "Segmentation",
    "SegmentedCase",
    "TrainedRun",
    "Volume",
    "__version__",
    "compare",
    "evaluate",
    "load_segmentation",
    "read_data_set",
    "read_label_map",
    "read_result",
    "read_scan",
    "read_split",
    "read_volume",
    "segment",
    "segment_many",
    "train",
    "write_volume",
]

_HOME = {
    "api": ("Evaluated", "TrainedRun", "compare", "evaluate", "train"),
    "data.readers": ("Case", "read_data_set"),
    "data.splits.splits": ("read_split",),
    "errors": ("PancascadeError",),
    "evaluation": ("Protocol",),
    "imaging.io": ("read_label_map", "read_scan", "read_volume", "write_volume"),
    "imaging.volume": ("Volume",),
    "results.result": ("Result", "read_result"),
    "segmentation": ("Segmentation", "segment"),
    "segmentation.batch": ("SegmentedCase", "segment_many"),
    "segmentation.thresholding": ("load_segmentation",),
}
_OTHER_NAMES = {"Prediction": "Segmentation"}


def __getattr__(name: str) -> Any:
    """Import public names when they are first used, so that `import pancascade` is fast."""
    own = _OTHER_NAMES.get(name, name)
    for module, names in _HOME.items():
        if own in names:
            return getattr(import_module(f"pancascade.{module}"), own)
    raise AttributeError(f"module 'pancascade' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, for completion in a shell."""
    return sorted(__all__)
