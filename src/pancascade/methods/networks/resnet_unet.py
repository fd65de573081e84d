"""S-Net of L-SNet: a decoder on a ResNet encoder; and both decoders, which L-Net uses too."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from pancascade.methods.networks.encoder_input import Normalisation
from pancascade.methods.networks.resnet import Depth, ResNetEncoder

Basis = Literal["unet", "fcn"]


class UpStep(nn.Module):
    """Nearest ×2, concatenation of the skip, then twice: 3×3 without bias, batch normalisation, ReLU."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        inputs = (in_channels + skip_channels, out_channels)
        self.convolutions = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(channels, out_channels, 3, padding=1, bias=False),
                    nn.BatchNorm2d(out_channels),
                    nn.ReLU(inplace=True),
                )
                for channels in inputs
            )
        )

    def forward(self, features: Tensor, skip: Tensor | None) -> Tensor:
        """Combine (B, in, h, w) and a skip (B, skip, 2h, 2w) or None to (B, out, 2h, 2w)."""
        features = functional.interpolate(features, scale_factor=2.0, mode="nearest")
        if skip is not None:
            features = torch.cat((features, skip), dim=1)
        return self.convolutions(features)


class UNetDecoder(nn.Module):
    """U-Net decoder from the deepest features towards the image: one step per width, with a skip where one exists.

    Args:
        channels: Channels of the encoder's features, shallow to deep.
        widths: Channels of the steps, deep to shallow; at most as many steps as encoder features.
    """

    def __init__(self, channels: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        inputs = (channels[-1], *widths[:-1])
        skips = (*channels[-2::-1], 0)[: len(widths)]
        self.steps = nn.ModuleList(UpStep(i, s, w) for i, s, w in zip(inputs, skips, widths, strict=True))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Decode features at strides 2, 4, 8, 16, 32 to (B, widths[-1], …) at stride 32 / 2^steps."""
        decoded = features[-1]
        skips: list[Tensor | None] = [*features[-2::-1], None]
        for step, skip in zip(self.steps, skips, strict=False):
            decoded = step(decoded, skip)
        return decoded


class FcnDecoder(nn.Module):
    """FCN decoder: features at strides 32, 16, 8 and 4, each after its own 1×1 convolution, summed with bilinear ×2.

    Long et al. stop at stride 8; L-Net's heads are at stride 4. An assumption: no paper describes L-SNet's FCN decoder
    (methods.md §B1, §8).

    Args:
        channels: Channels of the encoder's features, shallow (stride 2) to deep (stride 32).
        out_channels: Channels of the sum: number of classes for scores, or width for features.

    Source: Long et al. 2015, Fig. 3.
    """

    def __init__(self, channels: Sequence[int], out_channels: int) -> None:
        super().__init__()
        self.scores = nn.ModuleList(nn.Conv2d(c, out_channels, 1) for c in channels[:0:-1])

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Decode features at strides 2, 4, 8, 16, 32 to (B, out_channels, H/4, W/4)."""
        deep, *shallower = (score(f) for score, f in zip(self.scores, features[:0:-1], strict=True))
        for scores in shallower:
            deep = scores + functional.interpolate(deep, scale_factor=2.0, mode="bilinear")
        return deep


class ResNetUNet(nn.Module):
    """S-Net: U-Net (or FCN) on a ResNet.

    Parameters with the defaults: 24,436,369; with one input channel 24,430,097; ResNet-18 14,328,209; FCN basis
    21,285,636.

    Args:
        depth: Depth of the ResNet; 34 for S-Net, 18 for the first stage of the coarse-to-fine baseline.
        in_channels: 3 (the slice repeated, as ImageNet weights need) or 1.
        out_channels: Number of classes.
        base_width: Channels of the encoder's stem.
        widths: Channels of the five decoder steps, deep to shallow; unused with basis ``fcn``.
        basis: ``unet``, or ``fcn``: class scores at strides 32, 16, 8 and 4 summed, then bilinear ×4.
        normalisation: Normalisation of the images, see `ResNetEncoder`.

    Source: L-SNet, §2.3 and §3.1; layers from the 14.33 M of its Table 3 (methods.md §0.5, §B1).
    """

    def __init__(
        self,
        depth: Depth = 34,
        *,
        in_channels: int = 3,
        out_channels: int = 1,
        base_width: int = 64,
        widths: Sequence[int] = (256, 128, 64, 32, 16),
        basis: Basis = "unet",
        normalisation: Normalisation = "none",
    ) -> None:
        super().__init__()
        if basis not in ("unet", "fcn"):
            raise ValueError(f"basis must be 'unet' or 'fcn', got {basis!r}")
        if len(widths) != 5:
            raise ValueError(f"widths must hold one width for each of the 5 decoder steps, got {tuple(widths)}")
        self.encoder = ResNetEncoder(depth, in_channels=in_channels, base_width=base_width, normalisation=normalisation)
        self.decoder: nn.Module
        self.head: nn.Module
        if basis == "unet":
            self.decoder = UNetDecoder(self.encoder.channels, widths)
            self.head = nn.Conv2d(widths[-1], out_channels, 3, padding=1)
        else:
            self.decoder = FcnDecoder(self.encoder.channels, out_channels)
            self.head = nn.Upsample(scale_factor=4.0, mode="bilinear")

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, out_channels, H, W) of images (B, in_channels, H, W) or slices (B, 1, H, W) of any size."""
        height, width = images.shape[-2:]
        return self.head(self.decoder(self.encoder(images)))[..., :height, :width]
