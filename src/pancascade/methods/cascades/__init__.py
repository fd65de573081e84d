"""Cascades: localization, hand-over, segmentation. One file per paper."""

from pancascade.methods.cascades.build import CascadeSettings, build_cascade
from pancascade.methods.cascades.coarse_to_fine import CoarseToFine, CoarseToFineSettings
from pancascade.methods.cascades.dsms_unet import DsmsUNet, DsmsUNetSettings
from pancascade.methods.cascades.lsnet import LSNet
from pancascade.methods.cascades.lsnet_settings import LSNetSettings
from pancascade.methods.cascades.memory_layout import fast_layout
from pancascade.methods.cascades.protocol import Cascade, Located, is_any
from pancascade.methods.cascades.qiu2024 import Qiu2024
from pancascade.methods.cascades.qiu2024_settings import Qiu2024Settings
from pancascade.methods.cascades.single_stage import SingleStage, SingleStageSettings
from pancascade.methods.cascades.three_views import ThreeViews
from pancascade.methods.cascades.three_views_settings import ThreeViewsSettings
from pancascade.methods.cascades.zhao2019 import Zhao2019
from pancascade.methods.cascades.zhao2019_settings import Zhao2019Settings

__all__ = [
    "Cascade",
    "CascadeSettings",
    "CoarseToFine",
    "CoarseToFineSettings",
    "DsmsUNet",
    "DsmsUNetSettings",
    "LSNet",
    "LSNetSettings",
    "Located",
    "Qiu2024",
    "Qiu2024Settings",
    "SingleStage",
    "SingleStageSettings",
    "ThreeViews",
    "ThreeViewsSettings",
    "Zhao2019",
    "Zhao2019Settings",
    "build_cascade",
    "fast_layout",
    "is_any",
]
