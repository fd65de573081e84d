"""Three-dimensional U-Net for volumes of any size."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch import cat as concatenate
from torch.nn import functional

Layout = Literal["plain", "cicek"]


def conv3d_bn_relu(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return a 3³ convolution with bias, batch normalisation, ReLU; the size (I, J, K) is preserved."""
    return nn.Sequential(
        nn.Conv3d(in_channels, out_channels, 3, padding=1),
        nn.BatchNorm3d(out_channels),
        nn.ReLU(inplace=True),
    )


def pad_to_multiple(volumes: Tensor, multiple: int) -> tuple[Tensor, tuple[slice, ...]]:
    """Pad volumes with zeros, so that poolings halve every side without remainder.

    The zeros are spread evenly over both ends of an axis; an odd one goes to the far end. Zero is the lower end of the
    CT window, and the padding value of the convolutions.

    Args:
        volumes: (B, C, *S), of any sizes S.
        multiple: Divisor of the padded sides.

    Returns:
        (B, C, *S′), each side of S′ the next multiple; and the position of the volumes in it:
        ``padded[(..., *inside)]`` equals the argument.
    """
    before = [-side % multiple // 2 for side in volumes.shape[2:]]
    after = [-side % multiple - low for side, low in zip(volumes.shape[2:], before, strict=True)]
    inside = tuple(slice(low, low + side) for low, side in zip(before, volumes.shape[2:], strict=True))
    # functional.pad counts axes from the last one.
    around = [width for pair in zip(reversed(before), reversed(after), strict=True) for width in pair]
    return (functional.pad(volumes, around) if any(around) else volumes), inside


class UNet3d(nn.Module):
    """3-D U-Net with batch normalisation, max-pooling and deconvolution; both stages of Zhao et al. 2019.

    Their Fig. 3 is lost; this is the usual network (methods.md §D1). Parameters: 5,647,857 with the default widths,
    22,581,217 with (32, 64, 128, 256, 512), 1,401,969 with (16, 32, 64, 128).

    Source: Zhao et al. 2019, §2.3; layout ``cicek``: Çiçek et al. 2016, Fig. 2, 19,073,665 parameters with widths
        (64, 128, 256, 512).
    """

    def __init__(
        self,
        widths: Sequence[int] = (16, 32, 64, 128, 256),
        *,
        in_channels: int = 1,
        out_channels: int = 1,
        layout: Layout = "plain",
    ) -> None:
        """Build the blocks of the figure.

        Args:
            widths: Output channels of each level, from shallow to deep.
            in_channels: Channels of the volumes.
            out_channels: Channels of the logits.
            layout: With ``plain``, both convolutions of a level have the level's width, and up-sampling halves the
                channels. With ``cicek``, channels double within a level, before pooling, and up-sampling keeps them.
        """
        super().__init__()
        self.multiple = 2 ** (len(widths) - 1)
        inputs = (in_channels, *widths[:-1])
        self.encoder = nn.ModuleList(
            nn.Sequential(conv3d_bn_relu(i, inner), conv3d_bn_relu(inner, w))
            for i, w, inner in zip(inputs, widths, (w // 2 if layout == "cicek" else w for w in widths), strict=True)
        )
        self.pool = nn.MaxPool3d(2)
        deep_to_shallow = [
            (deep, deep if layout == "cicek" else w, w) for deep, w in zip(widths[:0:-1], widths[-2::-1], strict=True)
        ]
        self.up = nn.ModuleList(nn.ConvTranspose3d(deep, raised, 2, stride=2) for deep, raised, _ in deep_to_shallow)
        self.decoder = nn.ModuleList(
            nn.Sequential(conv3d_bn_relu(raised + w, w), conv3d_bn_relu(w, w)) for _, raised, w in deep_to_shallow
        )
        self.head = nn.Conv3d(widths[0], out_channels, 1)

    def forward(self, volumes: Tensor) -> Tensor:
        """Return logits (B, out_channels, I, J, K) of volumes (B, in_channels, I, J, K) of any size.

        Raises:
            ValueError: In training, a single volume with one voxel left at the deepest level.
        """
        features, inside = pad_to_multiple(volumes, self.multiple)
        skips: list[Tensor] = []
        for depth, block in enumerate(self.encoder):
            features = block(self.pool(features) if depth else features)
            skips.append(features)
        skips.pop()
        for up, block in zip(self.up, self.decoder, strict=True):
            features = block(concatenate((up(features), skips.pop()), dim=1))
        return self.head(features)[(..., *inside)]
