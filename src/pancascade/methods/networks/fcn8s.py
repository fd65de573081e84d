"""FCN-8s on VGG-16: the network of Fixed-point and of RSTN."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pancascade.methods.networks.encoder_input import Normalisation
from pancascade.methods.networks.vgg import VggEncoder

BORDER = 100
"""Width of zeros around the image, as in Long et al.; the offsets of the cuts follow from it."""


class FCN8s(nn.Module):
    """FCN-8s: scores at strides 32, 16 and 8 summed, with learned deconvolutions, initially bilinear.

    Parameters with the defaults: 134,265,699; 134,277,737 for three maps.

    Args:
        in_channels: 3: neighbouring slices, or one slice repeated.
        out_channels: Number of maps; 3 if each of three slices gets its own.
        widths: Channels of VGG-16's levels.
        hidden: Channels of its classifier.
        normalisation: Normalisation of the images, see `VggEncoder`.

    Source: Long et al. 2015, §4; Zhou et al. 2017, §3.3; Yu et al. 2018, §4.1.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        out_channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        hidden: int = 4096,
        normalisation: Normalisation = "none",
    ) -> None:
        super().__init__()
        self.encoder = VggEncoder(
            in_channels=in_channels, widths=widths, hidden=hidden, border=BORDER, normalisation=normalisation
        )
        eighth, sixteenth, deepest = self.encoder.channels
        self.score = nn.Conv2d(deepest, out_channels, 1)
        self.score_16 = nn.Conv2d(sixteenth, out_channels, 1)
        self.score_8 = nn.Conv2d(eighth, out_channels, 1)
        self.up_32 = _bilinear(out_channels, 2)
        self.up_16 = _bilinear(out_channels, 2)
        self.up_8 = _bilinear(out_channels, 8)
        for score in (self.score, self.score_16, self.score_8):
            nn.init.zeros_(score.weight)
            nn.init.zeros_(score.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, out_channels, H, W) of images (B, in_channels, H, W) or slices (B, 1, H, W) of any size."""
        height, width = images.shape[-2:]
        eighth, sixteenth, deepest = self.encoder(images)
        scores = self.up_32(self.score(deepest))
        scores = self.up_16(scores + _cut(self.score_16(sixteenth), 5, scores))
        scores = self.up_8(scores + _cut(self.score_8(eighth), 9, scores))
        return scores[..., 31 : 31 + height, 31 : 31 + width]


def _cut(maps: Tensor, start: int, like: Tensor) -> Tensor:
    return maps[..., start : start + like.shape[-2], start : start + like.shape[-1]]


def _bilinear(channels: int, factor: int) -> nn.ConvTranspose2d:
    """Return a deconvolution that initially enlarges every channel separately and bilinearly."""
    made = nn.ConvTranspose2d(channels, channels, 2 * factor, stride=factor, bias=False)
    place = torch.arange(2 * factor, dtype=torch.float32)
    ramp = 1 - (place - (factor - 0.5)).abs() / factor
    with torch.no_grad():
        made.weight.zero_()
        for channel in range(channels):
            made.weight[channel, channel] = ramp[:, None] * ramp
    return made
