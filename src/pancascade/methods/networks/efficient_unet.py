"""A U-Net on EfficientNet-Lite0: small, fast on a CPU, can start from ImageNet weights."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from pancascade.methods.networks.efficientnet import STRIDE, EfficientNetEncoder
from pancascade.methods.networks.resnet_unet import UNetDecoder


class EfficientUNet(nn.Module):
    """U-Net decoder on an EfficientNet-Lite0 encoder; our own design, from no paper.

    Args:
        in_channels: Channels of the images.
        out_channels: Number of logit maps.
        widths: Channels of the decoder's steps, deep to shallow. Five steps reach the image's own pixels. With four,
            logits are computed at stride 2 and enlarged, which saves a third of the work.
        presence: Whether to append a channel: the logit that the slice shows the target of the first map, computed
            from the mean of the deepest features, equal at every pixel.
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        out_channels: int = 1,
        widths: Sequence[int] = (128, 64, 48, 32),
        presence: bool = False,
    ) -> None:
        super().__init__()
        if len(widths) not in (4, 5):
            raise ValueError(f"widths must hold one width for each of 4 or 5 decoder steps, got {tuple(widths)}")
        self.encoder = EfficientNetEncoder(in_channels=in_channels)
        self.decoder = UNetDecoder(self.encoder.channels, widths)
        self.head = nn.Conv2d(widths[-1], out_channels, 3, padding=1)
        self.presence = nn.Conv2d(self.encoder.channels[-1], 1, 1) if presence else None

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, out_channels + presence, H, W) of images (B, in_channels, H, W) in [0, 1] of any size."""
        height, width = images.shape[-2:]
        padded = functional.pad(images, (0, -width % STRIDE, 0, -height % STRIDE))
        features = self.encoder(padded)
        logits = self.head(self.decoder(features))
        if logits.shape[-1] != padded.shape[-1]:
            logits = functional.interpolate(logits, size=padded.shape[-2:], mode="bilinear")
        logits = logits[..., :height, :width]
        if self.presence is None:
            return logits
        shown = self.presence(features[-1].mean(dim=(2, 3), keepdim=True)).to(logits.dtype)
        return torch.cat((logits, shown.expand(-1, 1, height, width)), dim=1)
