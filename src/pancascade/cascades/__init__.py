"""Cascades: locate, hand over, look closely. One file a paper."""

from pancascade.cascades.build import CascadeSettings, build_cascade
from pancascade.cascades.coarse_to_fine import CoarseToFine, CoarseToFineSettings
from pancascade.cascades.dsms_unet import DsmsUNet, DsmsUNetSettings
from pancascade.cascades.layout import fast_layout
from pancascade.cascades.lsnet import LSNet
from pancascade.cascades.lsnet_settings import LSNetSettings
from pancascade.cascades.protocol import Cascade, Located, is_any
from pancascade.cascades.qiu2024 import Qiu2024
from pancascade.cascades.qiu2024_settings import Qiu2024Settings
from pancascade.cascades.single_stage import SingleStage, SingleStageSettings
from pancascade.cascades.three_views import ThreeViews
from pancascade.cascades.three_views_settings import ThreeViewsSettings
from pancascade.cascades.zhao2019 import Zhao2019, Zhao2019Settings

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
