"""Networks and the papers' modules."""

from pancascade.networks.build import MapNetwork, NetworkSettings, OneMapNetwork, build
from pancascade.networks.focusing_net import FocusingNet
from pancascade.networks.multiscale_unet import MultiScaleUNet
from pancascade.networks.saliency import SaliencyTransformation
from pancascade.networks.unet import UNet

__all__ = [
    "FocusingNet",
    "MapNetwork",
    "MultiScaleUNet",
    "NetworkSettings",
    "OneMapNetwork",
    "SaliencyTransformation",
    "UNet",
    "build",
]
