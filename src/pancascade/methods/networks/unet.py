"""Plain two-dimensional U-Net: the baseline "U" of every table."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch import cat as concatenate


def conv_bn_relu(in_channels: int, out_channels: int, kernel: int = 3, *, dilation: int = 1) -> nn.Sequential:
    """Return a convolution with bias, batch normalisation, ReLU; the size (H, W) is preserved."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=dilation * (kernel // 2), dilation=dilation),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    """U-Net with batch normalisation, max-pooling and deconvolution.

    Parameters with the default widths: 31,042,369.

    Args:
        widths: Channels of each level, finest first; image sides must be divisible by 2 ** (len(widths) − 1).
        in_channels: Channels of the images.
        out_channels: Number of logit maps.

    Source: Ronneberger et al. 2015; row "U" of Qiu et al. 2024, Table 3 (methods.md §A1).
    """

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 512, 1024),
        *,
        in_channels: int = 1,
        out_channels: int = 1,
    ) -> None:
        super().__init__()
        inputs = (in_channels, *widths[:-1])
        self.encoder = nn.ModuleList(
            nn.Sequential(conv_bn_relu(i, w), conv_bn_relu(w, w)) for i, w in zip(inputs, widths, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        deep_to_shallow = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose2d(deep, w, 2, stride=2) for deep, w in deep_to_shallow)
        self.decoder = nn.ModuleList(
            nn.Sequential(conv_bn_relu(2 * w, w), conv_bn_relu(w, w)) for _, w in deep_to_shallow
        )
        self.head = nn.Conv2d(widths[0], out_channels, 1)

    def encode(self, images: Tensor) -> list[Tensor]:
        """Return the features of each level, shallow to deep, of images (B, in_channels, H, W)."""
        levels: list[Tensor] = []
        for block in self.encoder:
            levels.append(block(self.pool(levels[-1]) if levels else images))
        return levels

    def decode(self, levels: Sequence[Tensor]) -> Tensor:
        """Return logits (B, out_channels, H, W) of the levels' features."""
        features = levels[-1]
        for up, block, skip in zip(self.up, self.decoder, levels[-2::-1], strict=True):
            features = block(concatenate((up(features), skip), dim=1))
        return self.head(features)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, out_channels, H, W) of images (B, in_channels, H, W); H and W divisible by 16."""
        return self.decode(self.encode(images))
