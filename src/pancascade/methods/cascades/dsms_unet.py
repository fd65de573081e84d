"""DSMS U-Net: one network, trained to segment and to restore its input."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, field_validator
from torch import Generator, Tensor

from pancascade.labels import Label
from pancascade.methods.cascades.protocol import is_any
from pancascade.methods.cascades.single_stage import OneNetwork
from pancascade.methods.losses import bce_loss
from pancascade.methods.networks import NetworkSettings
from pancascade.methods.networks.dsms_unet import DeeplySupervisedUNet
from pancascade.settings import Settings


class DsmsUNetSettings(Settings):
    """Every choice of the method; the defaults are those of methods.md §C.

    Attributes:
        network: A ``dsms_unet``; its presets are the paper's variants DRS, KCMDRS and DSMSC.
        target: One map of pancreas and tumour together, or nested maps of both together and of the tumour.
        segmentation_weight: Weight of the segmentation's cross-entropy.
        restoration_weight: Weight of the restored image's cross-entropy.
    """

    kind: Literal["dsms_unet"] = "dsms_unet"
    network: NetworkSettings = NetworkSettings(name="dsms_unet")
    target: Literal["together", "nested"] = "together"
    segmentation_weight: float = Field(default=10.0, ge=0)
    restoration_weight: float = Field(default=1.0, ge=0)

    @field_validator("network")
    @classmethod
    def _network_is_a_dsms_unet(cls, network: NetworkSettings) -> NetworkSettings:
        if network.name != "dsms_unet":
            raise ValueError(f"must be a dsms_unet; train a {network.name} by the cascade single_stage")
        return network


class DsmsUNet(OneNetwork):
    """DSMS U-Net, Figs. 1 and 3; the threshold is a probability of 0.5.

    Source: DSMS U-Net, §III; methods.md §C.
    """

    export_chain = ("network: the canvas; probability = sigmoid(logits).",)
    network: DeeplySupervisedUNet

    def __init__(self, settings: DsmsUNetSettings) -> None:
        nested = settings.target == "nested"
        super().__init__(settings.network, ("pancreas", "tumour") if nested else ("pancreas",))
        self.settings = settings

    def losses(
        self, images: Tensor, labels: Tensor, *, phase: str, generator: Generator
    ) -> Iterator[dict[str, Tensor]]:
        """Yield L = 10 L₁ + L₂: cross-entropy of the segmentation, and of the restored image with the image in [0, 1].

        Both are means over pixels (and maps). The minimum of L₂ is the entropy of the image, which is 0 only for black
        and white pixels. Without a restoration decoder, the loss is L₁ only.

        Source: DSMS U-Net, Eq. 1 and §III-D; methods.md §C2.
        """
        if self.network.restoration is None:
            logits, restored = self.network(images), None
        else:
            logits, restored = self.network.with_restoration(images)
        weight = self.settings.segmentation_weight / len(self.targets)
        found: dict[str, Tensor] = {}
        for channel, label in enumerate(self.targets):
            target = is_any(labels, (Label.PANCREAS, Label.TUMOUR) if label == Label.PANCREAS else (label,))
            found[label.title] = weight * bce_loss(logits[:, channel : channel + 1], target)
        if restored is not None:
            found["restored"] = self.settings.restoration_weight * bce_loss(restored, images)
        yield found
