"""Building of cascades from their settings."""

from typing import Annotated

from pydantic import Field
from torch import nn

from pancascade.errors import RecipeError
from pancascade.methods.cascades.coarse_to_fine import CoarseToFine, CoarseToFineSettings
from pancascade.methods.cascades.dsms_unet import DsmsUNet, DsmsUNetSettings
from pancascade.methods.cascades.lsnet import LSNet
from pancascade.methods.cascades.lsnet_settings import LSNetSettings
from pancascade.methods.cascades.protocol import Cascade
from pancascade.methods.cascades.qiu2024 import Qiu2024
from pancascade.methods.cascades.qiu2024_settings import Qiu2024Settings
from pancascade.methods.cascades.single_stage import SingleStage, SingleStageSettings
from pancascade.methods.cascades.three_views import ThreeViews
from pancascade.methods.cascades.three_views_settings import ThreeViewsSettings
from pancascade.methods.cascades.zhao2019 import Zhao2019
from pancascade.methods.cascades.zhao2019_settings import Zhao2019Settings

CascadeSettings = Annotated[
    CoarseToFineSettings
    | DsmsUNetSettings
    | LSNetSettings
    | Qiu2024Settings
    | SingleStageSettings
    | ThreeViewsSettings
    | Zhao2019Settings,
    Field(discriminator="kind"),
]

CASCADES: dict[type, type[Cascade]] = {
    CoarseToFineSettings: CoarseToFine,
    DsmsUNetSettings: DsmsUNet,
    LSNetSettings: LSNet,
    Qiu2024Settings: Qiu2024,
    SingleStageSettings: SingleStage,
    ThreeViewsSettings: ThreeViews,
    Zhao2019Settings: Zhao2019,
}


def build_cascade(settings: CascadeSettings) -> Cascade:
    """Build the cascade of these settings, with fresh weights.

    Raises:
        RecipeError: A network is unknown, does not accept its options, or is 2-D where 3-D is needed or the reverse.
    """
    cascade = CASCADES[type(settings)](settings)
    wanted, given, foreign = (
        ("volumes", "slices", nn.Conv2d) if cascade.network_dimensions == 3 else ("slices", "volumes", nn.Conv3d)
    )
    for name, network in cascade.named_children():
        if any(isinstance(part, foreign) for part in network.modules()):
            raise RecipeError(f"cascade.{name}: {settings.kind} needs a network for {wanted}, this one is for {given}.")
    return cascade
