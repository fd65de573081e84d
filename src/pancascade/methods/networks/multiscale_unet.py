"""Multi-scale U-Net: two encoder branches, three kernel sizes, two skips per level (Qiu et al. 2024, Fig. 3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from pancascade.methods.networks.unet import conv_bn_relu

Eq3Variant = Literal["code", "literal"]
Skips = Literal["both", "authors"]
UpSampling = Literal["deconvolution", "authors"]


@dataclass(frozen=True)
class MultiScaleFeatures:
    """Features of an image in the multi-scale U-Net, at five resolutions.

    Attributes:
        branch1: C_{1,1} … C_{4,1}, shallow to deep: (B, w_i, H/2^(i-1), W/2^(i-1)).
        branch2: C_{1,2} … C_{4,2}, shallow to deep: (B, 2 w_i, …).
        centre: C_5, (B, 3 b, H/16, W/16).
        centre1: Branch 1's third of the centre, (B, b, H/16, W/16).
        decoded: U_4 … U_1, deep to shallow: (B, w_i, …); empty without a decoder.
    """

    branch1: tuple[Tensor, ...]
    branch2: tuple[Tensor, ...]
    centre: Tensor
    centre1: Tensor
    decoded: tuple[Tensor, ...] = ()


class TwoPaths(nn.Module):
    """Branch 2: a 1×1 and a 5×5 path, each followed by 3×3, concatenated (Eq. 2)."""

    def __init__(self, in_channels: int, width: int, *, fine_kernel: int = 1) -> None:
        super().__init__()
        self.fine = nn.Sequential(conv_bn_relu(in_channels, width, fine_kernel), conv_bn_relu(width, width))
        self.coarse = nn.Sequential(conv_bn_relu(in_channels, width, 5), conv_bn_relu(width, width))

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, in, H, W) to (B, 2 width, H, W)."""
        return torch.cat((self.fine(features), self.coarse(features)), dim=1)


class MultiScaleUNet(nn.Module):
    """Two-branch U-Net, stage 1 and backbone of stage 2.

    Parameters with the default widths: 62,499,521; STAN widths (32, 64, 128, 256), centre 512: 25,730,913;
    tiny (8, 16, 32, 64), centre 64: 980,441.

    Args:
        widths: Channels w_1 … w_4 of a branch path.
        centre: Channels b of each of the three paths at the centre.
        eq3: Inputs of the centre. ``code``: 3×3 on branch 1, 1×1 on branch 2, as Eq. 2 and the authors' code;
            ``literal``: Eq. 3 as printed (a misprint): 1×1 on branch 1, 3×3 on branch 2.
        skips: ``both``: skips of both branches to the decoder (Eq. 4); ``authors``: of branch 1 only.
        up_sampling: ``deconvolution`` (the paper) or ``authors`` (bilinear; outputs w_3, w_2, w_1, w_1).
        head: Whether logits are produced; stage 2 uses the network without head.
        decoder: Whether there is a decoder at all; stage 2 with encoder features needs none.

    Source: Qiu et al. 2024, Eqs. 1–4, Fig. 3; variants in methods.md §A1.
    """

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 512),
        *,
        centre: int = 512,
        in_channels: int = 1,
        out_channels: int = 1,
        eq3: Eq3Variant = "code",
        skips: Skips = "both",
        up_sampling: UpSampling = "deconvolution",
        head: bool = True,
        decoder: bool = True,
    ) -> None:
        super().__init__()
        self.skips = skips
        self.pool = nn.MaxPool2d(2)
        inputs1 = (in_channels, *widths[:-1])
        inputs2 = (in_channels, *(2 * w for w in widths[:-1]))
        self.branch1 = nn.ModuleList(
            nn.Sequential(conv_bn_relu(i, w), conv_bn_relu(w, w)) for i, w in zip(inputs1, widths, strict=True)
        )
        self.branch2 = nn.ModuleList(TwoPaths(i, w) for i, w in zip(inputs2, widths, strict=True))
        first_kernel, fine_kernel = (3, 1) if eq3 == "code" else (1, 3)
        self.centre1 = nn.Sequential(conv_bn_relu(widths[-1], centre, first_kernel), conv_bn_relu(centre, centre))
        self.centre2 = TwoPaths(2 * widths[-1], centre, fine_kernel=fine_kernel)
        self.has_decoder = decoder
        if decoder:
            self._build_decoder(widths, centre, up_sampling)
        self.head = nn.Conv2d(self.decoded_channels[-1], out_channels, 1) if head and decoder else None

    def _build_decoder(self, widths: Sequence[int], centre: int, up_sampling: UpSampling) -> None:
        outputs = widths[::-1] if up_sampling == "deconvolution" else (*widths[-2::-1], widths[0])
        deeper = (3 * centre, *outputs[:-1])
        if up_sampling == "deconvolution":
            self.up = nn.ModuleList(nn.ConvTranspose2d(d, o, 2, stride=2) for d, o in zip(deeper, outputs, strict=True))
            deeper = tuple(outputs)
        else:
            self.up = nn.ModuleList(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True) for _ in outputs)
        self.after_skip1 = nn.ModuleList(
            conv_bn_relu(d + w, o) for d, w, o in zip(deeper, widths[::-1], outputs, strict=True)
        )
        self.after_skip2 = nn.ModuleList(
            conv_bn_relu(o + (2 * w if self.skips == "both" else 0), o)
            for w, o in zip(widths[::-1], outputs, strict=True)
        )
        self.decoded_channels = tuple(outputs)

    def features(self, images: Tensor) -> MultiScaleFeatures:
        """Return all features of images (B, in_channels, H, W); H and W divisible by 16."""
        branch1, branch2 = [self.branch1[0](images)], [self.branch2[0](images)]
        for block1, block2 in zip(self.branch1[1:], self.branch2[1:], strict=True):
            branch1.append(block1(self.pool(branch1[-1])))
            branch2.append(block2(self.pool(branch2[-1])))
        centre1 = self.centre1(self.pool(branch1[-1]))
        centre = torch.cat((centre1, self.centre2(self.pool(branch2[-1]))), dim=1)
        decoded = self._decode(centre, branch1, branch2) if self.has_decoder else ()
        return MultiScaleFeatures(tuple(branch1), tuple(branch2), centre, centre1, decoded)

    def _decode(self, centre: Tensor, branch1: list[Tensor], branch2: list[Tensor]) -> tuple[Tensor, ...]:
        decoded: list[Tensor] = []
        features = centre
        for level, (skip1, skip2) in enumerate(zip(branch1[::-1], branch2[::-1], strict=True)):
            features = self.after_skip1[level](torch.cat((self.up[level](features), skip1), dim=1))
            if self.skips == "both":
                features = torch.cat((features, skip2), dim=1)
            features = self.after_skip2[level](features)
            decoded.append(features)
        return tuple(decoded)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, out_channels, H, W) of images (B, in_channels, H, W); H and W divisible by 16.

        Raises:
            RuntimeError: The network was built without a head.
        """
        if self.head is None:
            raise RuntimeError("this multi-scale U-Net has no head; call features() instead")
        return self.head(self.features(images).decoded[-1])
