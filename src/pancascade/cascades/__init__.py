"""Cascades: locate, hand over, look closely. One file a paper."""

from pancascade.cascades.build import CascadeSettings, build_cascade
from pancascade.cascades.protocol import Cascade, Located
from pancascade.cascades.qiu2024 import Qiu2024, Qiu2024Settings
from pancascade.cascades.single_stage import SingleStage, SingleStageSettings

__all__ = [
    "Cascade",
    "CascadeSettings",
    "Located",
    "Qiu2024",
    "Qiu2024Settings",
    "SingleStage",
    "SingleStageSettings",
    "build_cascade",
]
