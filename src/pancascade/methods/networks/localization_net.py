"""L-Net of L-SNet: centres of regions of interest and the distances to the edges of their boxes (Fig. 3)."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from pancascade.methods.networks.encoder_input import Normalisation
from pancascade.methods.networks.resnet import Depth, ResNetEncoder
from pancascade.methods.networks.resnet_unet import Basis, FcnDecoder, UNetDecoder
from pancascade.methods.networks.unet import conv_bn_relu

DistanceLink = Literal["softplus", "exp"]

STRIDE = 4
"""Pixels of the image per cell of the heatmap, along each axis."""


class Localization(NamedTuple):
    """Output of L-Net per cell; cell (x, y) belongs to the image point (4x + 2, 4y + 2).

    Attributes:
        heatmap: Logits of region centres, (B, 1, H/4, W/4).
        distances: Distances from the cell's point to the left, top, right and bottom edge of its box, in pixels of the
            image, positive, (B, 4, H/4, W/4).
    """

    heatmap: Tensor
    distances: Tensor


class KeypointHead(nn.Sequential):
    """Three times 3×3, batch normalisation, ReLU, then 1×1: one logit per cell.

    The paper does not describe it. Of towers as wide as their input, only three blocks give the 14.50 M parameters of
    Table 3 (methods.md §B1).
    """

    def __init__(self, channels: int, *, blocks: int = 3) -> None:
        super().__init__(*(conv_bn_relu(channels, channels) for _ in range(blocks)), nn.Conv2d(channels, 1, 1))


class DistanceHead(nn.Sequential):
    """Two 3×3 convolutions and one 13×13: four raw distances per cell (L-SNet, §2.1)."""

    def __init__(self, channels: int, *, kernel: int = 13) -> None:
        super().__init__(
            conv_bn_relu(channels, channels),
            conv_bn_relu(channels, channels),
            nn.Conv2d(channels, 4, kernel, padding=kernel // 2),
        )


class LocalizationNet(nn.Module):
    """L-Net: anchor-free detection of the regions that S-Net segments.

    Parameters with the defaults: 14,503,493; FCN basis 11,466,821.

    Args:
        depth: Depth of the ResNet.
        in_channels: 3 (the slice repeated, as ImageNet weights need) or 1.
        base_width: Channels of the encoder's stem.
        widths: Channels of the three decoder steps, deep to shallow; the last is the width of the heads.
        basis: ``unet``, or ``fcn``: sum of 1×1 projections to the width of the heads (an assumption).
        keypoint_blocks: 3×3 convolutions of the keypoint head.
        distance: Conversion of raw outputs to distances: softplus(raw) · 4 or exp(raw) · 4 pixels (both ours; the
            paper's formula is lost).
        normalisation: Normalisation of the images, see `ResNetEncoder`.

    Source: L-SNet, §2.1, Fig. 3; variants in methods.md §B1.
    """

    def __init__(
        self,
        depth: Depth = 18,
        *,
        in_channels: int = 3,
        base_width: int = 64,
        widths: Sequence[int] = (256, 128, 64),
        basis: Basis = "unet",
        keypoint_blocks: int = 3,
        distance: DistanceLink = "softplus",
        normalisation: Normalisation = "none",
    ) -> None:
        super().__init__()
        if basis not in ("unet", "fcn"):
            raise ValueError(f"basis must be 'unet' or 'fcn', got {basis!r}")
        if distance not in ("softplus", "exp"):
            raise ValueError(f"distance must be 'softplus' or 'exp', got {distance!r}")
        if len(widths) != 3:
            raise ValueError(f"widths must hold one width for each of the 3 decoder steps, got {tuple(widths)}")
        self.distance = distance
        self.encoder = ResNetEncoder(depth, in_channels=in_channels, base_width=base_width, normalisation=normalisation)
        self.decoder: nn.Module
        if basis == "unet":
            self.decoder = UNetDecoder(self.encoder.channels, widths)
        else:
            self.decoder = FcnDecoder(self.encoder.channels, widths[-1])
        self.keypoint_head = KeypointHead(widths[-1], blocks=keypoint_blocks)
        self.distance_head = DistanceHead(widths[-1])

    def forward(self, images: Tensor) -> Localization:
        """Return heatmap logits and distances, float32, of images (B, in_channels, H, W) or slices (B, 1, H, W).

        H and W must be divisible by 4.
        """
        height, width = (side // STRIDE for side in images.shape[-2:])
        features = self.decoder(self.encoder(images))[..., :height, :width]
        raw = self.distance_head(features).float()
        positive = functional.softplus(raw) if self.distance == "softplus" else raw.exp()
        return Localization(self.keypoint_head(features).float(), STRIDE * positive)
