"""PFNet's focusing modules on a ResNet: the row "ResNet50" of Qiu et al. 2024, by their code."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from pancascade.methods.networks.encoder_input import Normalisation
from pancascade.methods.networks.focusing import Discover, Focusing
from pancascade.methods.networks.nonlocal_localization import Eq8Variant, NonLocalLocalization
from pancascade.methods.networks.resnet import Depth, ResNetEncoder
from pancascade.methods.networks.unet import conv_bn_relu


class FocusingResNet(nn.Module):
    """Reductions of a ResNet's four deepest levels, non-local localization, three focusing modules.

    Parameters with the defaults: 46,497,804. The authors' ``train_res.py`` trains such a network on images of 416².
    That it is the "ResNet50" of their Table 1 is an assumption (comparison-methods.md).

    Args:
        depth: Depth of the ResNet.
        in_channels: 3 (the slice repeated, as ImageNet weights need) or 1.
        base_width: Channels of the encoder's stem.
        reduced: Channels after the four reductions, deep to shallow; each divisible by 4, the first by 8.
        discover: Which errors the focusing modules correct.
        eq8: Variant of the spatial attention.
        normalisation: Normalisation of the images, see `ResNetEncoder`.

    Source: Mei et al. 2021 (PFNet), Fig. 2; Qiu et al. 2024, §3.2.
    """

    def __init__(
        self,
        depth: Depth = 50,
        *,
        in_channels: int = 3,
        base_width: int = 64,
        reduced: Sequence[int] = (512, 256, 128, 64),
        discover: Discover = "both",
        eq8: Eq8Variant = "code",
        normalisation: Normalisation = "none",
    ) -> None:
        super().__init__()
        self.encoder = ResNetEncoder(depth, in_channels=in_channels, base_width=base_width, normalisation=normalisation)
        levels = zip(self.encoder.channels[:0:-1], reduced, strict=True)
        self.reductions = nn.ModuleList(conv_bn_relu(channels, width) for channels, width in levels)
        self.localization = NonLocalLocalization(reduced[0], eq8=eq8)
        self.focusing = nn.ModuleList(
            Focusing(width, deeper, discover=discover) for width, deeper in zip(reduced[1:], reduced[:-1], strict=True)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return four predictions of the target, from coarse to fine.

        Args:
            images: (B, in_channels, H, W) or slices (B, 1, H, W), of any size.

        Returns:
            Logits ML, FM4, FM3, FM2, each (B, 1, H, W); the last is the final prediction.
        """
        height, width = images.shape[-2:]
        found = self.encoder(images)
        stem = found[0].shape[-2:]
        size = (2 * stem[0], 2 * stem[1])
        levels = [reduce(features) for reduce, features in zip(self.reductions, found[:0:-1], strict=True)]
        refined, logits = self.localization(levels[0])
        predictions = [logits]
        for focus, features in zip(self.focusing, levels[1:], strict=True):
            refined, logits = focus(features, refined, logits)
            predictions.append(logits)
        resized = (functional.interpolate(p, size=size, mode="bilinear", align_corners=True) for p in predictions)
        return tuple(maps[..., :height, :width] for maps in resized)
