"""The part of MONAI Label's REST interface that the clients of 3D Slicer and OHIF use.

`MonaiLabel` holds the data; `monai_label_router` answers requests. Requests and answers have the form of MONAI Label
0.8.5 (https://github.com/Project-MONAI/MONAILabel), which need not be installed.
"""

from pancascade.services.server.monai_label.routes import OPEN_PATHS, monai_label_router
from pancascade.services.server.monai_label.segmenter import Segmenter
from pancascade.services.server.monai_label.service import MonaiLabel
from pancascade.services.server.monai_label.training import TrainingOptions

__all__ = ["OPEN_PATHS", "MonaiLabel", "Segmenter", "TrainingOptions", "monai_label_router"]
