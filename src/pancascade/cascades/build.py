"""Cascades by their settings."""

from typing import Annotated

from pydantic import Field

from pancascade.cascades.protocol import Cascade
from pancascade.cascades.qiu2024 import Qiu2024, Qiu2024Settings
from pancascade.cascades.single_stage import SingleStage, SingleStageSettings

CascadeSettings = Annotated[Qiu2024Settings | SingleStageSettings, Field(discriminator="kind")]

CASCADES: dict[type, type[Cascade]] = {Qiu2024Settings: Qiu2024, SingleStageSettings: SingleStage}


def build_cascade(settings: CascadeSettings) -> Cascade:
    """The cascade that these settings describe, with fresh weights."""
    return CASCADES[type(settings)](settings)
