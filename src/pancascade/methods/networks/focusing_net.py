"""Stage 2 of Qiu et al. 2024: multi-scale U-Net, non-local localization, four focusing modules (Fig. 4)."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from pancascade.methods.networks.focusing import Discover, Focusing, SkipFusion
from pancascade.methods.networks.multiscale_unet import Eq3Variant, MultiScaleFeatures, MultiScaleUNet
from pancascade.methods.networks.nonlocal_localization import Eq8Variant, NonLocalLocalization, PlainMap
from pancascade.methods.networks.unet import conv_bn_relu

Source = Literal["decoder", "encoder", "authors"]


class FocusingNet(nn.Module):
    """Multi-scale backbone, non-local localization, then focusing modules level by level.

    Parameters with default widths: decoder source 81,722,543 (``reduce_kernel=3``: 84,507,823); encoder source
    65,348,207 (68,133,487); the authors' published build 63,065,711.

    Args:
        widths: Channels w_1 … w_4 of the backbone.
        centre: Channels b of the backbone's centre.
        reduced: Channels after the five reductions, deep to shallow; each divisible by 4, the first by 8.
        source: Features of the backbone to reduce. ``decoder``: C_5 and U_4 … U_1; ``encoder``: C_5 and both branches'
            skips, no decoder; ``authors``: as in the published code, branch 1 of the centre and a bilinear decoder.
        reduce_kernel: Kernel of the context exploration's reducing and fusing convolutions.
        discover: Which errors the focusing modules correct.
        localization: Whether channel and spatial attention precede the first map (ablation switch L).
        focusing: Whether the focusing modules refine the first map (ablation switch F).

    Source: Qiu et al. 2024, §3.2, Fig. 4; builds in methods.md §A1.
    """

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 512),
        *,
        centre: int = 512,
        reduced: Sequence[int] = (512, 256, 128, 64, 32),
        in_channels: int = 1,
        source: Source = "decoder",
        reduce_kernel: Literal[1, 3] = 1,
        discover: Discover = "both",
        eq3: Eq3Variant = "code",
        eq8: Eq8Variant = "code",
        localization: bool = True,
        focusing: bool = True,
    ) -> None:
        super().__init__()
        self.source: Source = source
        authors = source == "authors"
        self.backbone = MultiScaleUNet(
            widths,
            centre=centre,
            in_channels=in_channels,
            eq3=eq3,
            skips="authors" if authors else "both",
            up_sampling="authors" if authors else "deconvolution",
            head=False,
            decoder=source != "encoder",
        )
        if source == "encoder":
            channels = (3 * centre, *(3 * w for w in widths[::-1]))
        else:
            channels = (centre if authors else 3 * centre, *self.backbone.decoded_channels)
        self.reductions = nn.ModuleList(conv_bn_relu(c, r) for c, r in zip(channels, reduced, strict=True))
        self.localization: nn.Module = (
            NonLocalLocalization(reduced[0], eq8=eq8) if localization else PlainMap(reduced[0])
        )
        self.focusing = nn.ModuleList(
            Focusing(c, deeper, reduce_kernel=reduce_kernel, discover=discover) if focusing else SkipFusion(c, deeper)
            for c, deeper in zip(reduced[1:], reduced[:-1], strict=True)
        )

    def _levels(self, found: MultiScaleFeatures) -> tuple[Tensor, ...]:
        if self.source == "encoder":
            skips = zip(found.branch1[::-1], found.branch2[::-1], strict=True)
            return (found.centre, *(torch.cat(pair, dim=1) for pair in skips))
        return (found.centre1 if self.source == "authors" else found.centre, *found.decoded)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return five predictions of the target, from coarse to fine.

        Args:
            images: (B, in_channels, H, W), H and W divisible by 16.

        Returns:
            Logits ML, FM5, FM4, FM3, FM2, each (B, 1, H, W); the last is the final prediction.
        """
        levels = [
            reduce(features)
            for reduce, features in zip(self.reductions, self._levels(self.backbone.features(images)), strict=True)
        ]
        refined, logits = self.localization(levels[0])
        predictions = [logits]
        for focus, features in zip(self.focusing, levels[1:], strict=True):
            refined, logits = focus(features, refined, logits)
            predictions.append(logits)
        size = images.shape[-2:]
        return tuple(functional.interpolate(p, size=size, mode="bilinear", align_corners=True) for p in predictions)
