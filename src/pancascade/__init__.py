"""pancascade: find the pancreas and pancreatic tumours in CT with cascades."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pancascade.batch import segment_many
    from pancascade.inference import Segmentation, segment
    from pancascade.volume import Volume

__version__ = "0.1.0"
__all__ = ["Segmentation", "Volume", "__version__", "segment", "segment_many"]

_HOME = {"Segmentation": "inference", "segment": "inference", "segment_many": "batch", "Volume": "volume"}


def __getattr__(name: str) -> Any:
    """Import public names when they are first used: `import pancascade` stays instant."""
    if name in _HOME:
        return getattr(import_module(f"pancascade.{_HOME[name]}"), name)
    raise AttributeError(f"module 'pancascade' has no attribute {name!r}")
