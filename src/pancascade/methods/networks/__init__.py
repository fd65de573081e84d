"""Networks and the papers' modules."""

from pancascade.methods.networks.build import MapNetwork, NetworkSettings, OneMapNetwork, build
from pancascade.methods.networks.focusing_net import FocusingNet
from pancascade.methods.networks.multiscale_unet import MultiScaleUNet
from pancascade.methods.networks.saliency import SaliencyTransformation
from pancascade.methods.networks.unet import UNet

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
