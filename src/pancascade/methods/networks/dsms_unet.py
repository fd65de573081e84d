"""DSMS U-Net: convolutions on the skips of a U-Net, and a second decoder that restores the image (Fig. 1)."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from pancascade.methods.networks.unet import UNet, conv_bn_relu

SkipModule = Literal["plain", "kcm", "mscm"]

SKIP_KERNELS: dict[SkipModule, tuple[int, ...]] = {"kcm": (3, 3, 3), "mscm": (1, 3, 5)}


class ParallelConvolutions(nn.Module):
    """Parallel convolutions, one per kernel size; a 1×1 convolution merges their concatenated maps.

    Kernels 1, 3 and 5 form the multi-scale convolutional module (Fig. 2a), three 3×3 kernels its control (Fig. 2b).
    """

    def __init__(self, channels: int, kernels: Sequence[int]) -> None:
        super().__init__()
        self.paths = nn.ModuleList(conv_bn_relu(channels, channels, kernel) for kernel in kernels)
        self.merge = conv_bn_relu(len(kernels) * channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Transform features (B, C, H, W) to the same shape."""
        return self.merge(torch.cat([path(features) for path in self.paths], dim=1))


class RestorationDecoder(nn.Module):
    """Decoder from the bottleneck to the image, without skips: only the bottleneck carries the image (§III-B)."""

    def __init__(self, widths: Sequence[int], *, out_channels: int = 1, second_kernel: Literal[3, 1] = 3) -> None:
        super().__init__()
        self.levels = nn.Sequential(
            *(
                nn.Sequential(
                    nn.ConvTranspose2d(deep, w, 2, stride=2), conv_bn_relu(w, w), conv_bn_relu(w, w, second_kernel)
                )
                for deep, w in zip(widths[:0:-1], widths[-2::-1], strict=True)
            )
        )
        self.head = nn.Conv2d(widths[0], out_channels, 1)

    def forward(self, bottleneck: Tensor) -> Tensor:
        """Return logits (B, out_channels, 16 h, 16 w) of a bottleneck (B, deepest width, h, w), with five widths."""
        return self.head(self.levels(bottleneck))


class DeeplySupervisedUNet(UNet):
    """U-Net with convolutions on its skips and a decoder that restores the image from the bottleneck.

    Parameters with the default widths (in brackets without batch normalisation):
    plain U-Net 31,042,369 (31,030,593); DRS, the restoration decoder alone, 40,101,314 (40,085,698);
    KCMDRS, with three 3×3 kernels on the skips, 50,557,634 (50,534,338); DSMSC, the full method,
    53,342,914 (53,319,618).

    The restoration decoder only supervises: `forward` never runs it, also not in training mode, so the network can
    replace a U-Net anywhere. Training calls `with_restoration`.

    Args:
        widths: Channels of each level, shallow to deep.
        skips: Modules on each skip: none (``plain``), three 3×3 convolutions (``kcm``) or a 1×1, a 3×3 and a 5×5
            convolution (``mscm``), in parallel.
        restoration: Whether there is a restoration decoder.
        restoration_second_kernel: Second convolution of its levels: 3 (§III-B), or 1 (§IV-B contradicts it).
        normalise: Whether convolutions are followed by batch normalisation.

    Source: DSMS U-Net, §III, Figs. 1 and 2; variants in methods.md §C1.
    """

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 512, 1024),
        *,
        in_channels: int = 1,
        out_channels: int = 1,
        skips: SkipModule = "mscm",
        restoration: bool = True,
        restoration_second_kernel: Literal[3, 1] = 3,
        normalise: bool = True,
    ) -> None:
        super().__init__(widths, in_channels=in_channels, out_channels=out_channels)
        self.skips = nn.ModuleList(
            nn.Identity() if skips == "plain" else ParallelConvolutions(w, SKIP_KERNELS[skips]) for w in widths[-2::-1]
        )
        self.restoration = (
            RestorationDecoder(widths, out_channels=in_channels, second_kernel=restoration_second_kernel)
            if restoration
            else None
        )
        if not normalise:
            _drop_normalisation(self)

    def decode(self, levels: Sequence[Tensor]) -> Tensor:
        """Return logits (B, out_channels, H, W) of the levels' features, with the convolutions on the skips."""
        filtered = [skip(level) for skip, level in zip(self.skips, levels[-2::-1], strict=True)]
        return super().decode([*reversed(filtered), levels[-1]])

    def with_restoration(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return segmentation logits and logits of the restored image, for training.

        Args:
            images: (B, in_channels, H, W); H and W divisible by 16.

        Returns:
            (B, out_channels, H, W) and (B, in_channels, H, W); the sigmoid of the latter is the restored image.

        Raises:
            RuntimeError: The network was built without a restoration decoder.
        """
        if self.restoration is None:
            raise RuntimeError("this DSMS U-Net has no restoration decoder; call the network itself instead")
        levels = self.encode(images)
        return self.decode(levels), self.restoration(levels[-1])


def _drop_normalisation(network: nn.Module) -> None:
    """Replace every batch normalisation by the identity."""
    for block in list(network.modules()):
        for name, child in block.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(block, name, nn.Identity())
