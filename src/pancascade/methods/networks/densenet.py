"""DenseNet-121 encoder in torchvision's parameter layout, and the U-Net on it."""

import re
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from pancascade.methods.networks.encoder_input import Normalisation, encoder_input, require_normalisation
from pancascade.methods.networks.pretrained import fit_encoder, read_tensors
from pancascade.methods.networks.resnet import STRIDE
from pancascade.methods.networks.resnet_unet import UNetDecoder


class DenseLayer(nn.Module):
    """Adds ``growth`` channels to its input: BN, ReLU, 1×1 to 4·growth, BN, ReLU, 3×3, concatenated to the input."""

    def __init__(self, in_channels: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Extend (B, in, H, W) to (B, in + growth, H, W)."""
        inner = self.conv1(functional.relu(self.norm1(features)))
        return torch.cat((features, self.conv2(functional.relu(self.norm2(inner)))), dim=1)


class DenseNetEncoder(nn.Module):
    """DenseNet without pooling and classifier, with features at five resolutions for a decoder.

    Parameters with the defaults: 6,953,856; the published 7,978,856 include the classifier. Names and
    shapes are torchvision's (``features.conv0.weight`` … ``features.norm5.bias``).

    Args:
        blocks: Number of layers of the four dense blocks.
        growth: Channels that each layer adds.
        stem: Channels of the stem.
        in_channels: 3 as published, or another number.
        normalisation: ``imagenet`` shifts and scales images as the published weights expect.

    Attributes:
        channels: Channels of the features at strides 2, 4, 8, 16 and 32: 64, 256, 512, 1024, 1024 with the defaults.

    Source: Huang et al. 2017, Table 1.
    """

    def __init__(
        self,
        blocks: Sequence[int] = (6, 12, 24, 16),
        *,
        growth: int = 32,
        stem: int = 64,
        in_channels: int = 3,
        normalisation: Normalisation = "none",
    ) -> None:
        super().__init__()
        require_normalisation(normalisation)
        if len(blocks) != 4:
            raise ValueError(f"blocks must hold the layers of 4 dense blocks, got {tuple(blocks)}")
        self.in_channels, self.normalisation = in_channels, normalisation
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        parts["conv0"] = nn.Conv2d(in_channels, stem, 7, stride=2, padding=3, bias=False)
        parts["norm0"] = nn.BatchNorm2d(stem)
        channels, width = [stem], stem
        for number, layers in enumerate(blocks, start=1):
            named = [(f"denselayer{i + 1}", DenseLayer(width + i * growth, growth)) for i in range(layers)]
            parts[f"denseblock{number}"] = nn.Sequential(OrderedDict(named))
            width += layers * growth
            channels.append(width)
            if number < len(blocks):
                norm, conv = nn.BatchNorm2d(width), nn.Conv2d(width, width // 2, 1, bias=False)
                parts[f"transition{number}"] = nn.Sequential(OrderedDict([("norm", norm), ("conv", conv)]))
                width //= 2
        parts["norm5"] = nn.BatchNorm2d(width)
        self.features = nn.ModuleDict(parts)
        self.channels = tuple(channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return features of images (B, in_channels, H, W), or of slices (B, 1, H, W), copied to all input channels.

        H and W are padded with zeros at the far ends to multiples of 32.

        Returns:
            Five maps (B, channels[i], ⌈H⌉/s, ⌈W⌉/s) at strides s = 2 … 32; ⌈ ⌉ is the next multiple of 32.
        """
        images = encoder_input(images, channels=self.in_channels, normalisation=self.normalisation)
        height, width = images.shape[-2:]
        images = functional.pad(images, (0, -width % STRIDE, 0, -height % STRIDE))
        found = [functional.relu(self.features["norm0"](self.features["conv0"](images)))]
        features = functional.max_pool2d(found[0], 3, stride=2, padding=1)
        for number in (1, 2, 3):
            transition = self.features[f"transition{number}"]
            features = self.features[f"denseblock{number}"](features)
            found.append(functional.relu(transition.norm(features)))  # type: ignore[operator]
            features = functional.avg_pool2d(transition.conv(found[-1]), 2)  # type: ignore[operator]
        deepest = self.features["norm5"](self.features["denseblock4"](features))
        return (*found, functional.relu(deepest))


class DenseUNet(nn.Module):
    """U-Net on a DenseNet-121.

    Parameters with the defaults: 13,607,633.

    Args:
        blocks: Number of layers of the dense blocks.
        growth: Channels that each layer adds.
        stem: Channels of the encoder's stem.
        in_channels: 3 (the slice repeated, as ImageNet weights need) or 1.
        out_channels: Number of logit maps.
        widths: Channels of the five decoder steps, deep to shallow.
        normalisation: Normalisation of the images, see `DenseNetEncoder`.

    Source: row "Dense-UNet" of Qiu et al. 2024, Table 1, whose layers no source describes.
    """

    def __init__(
        self,
        blocks: Sequence[int] = (6, 12, 24, 16),
        *,
        growth: int = 32,
        stem: int = 64,
        in_channels: int = 3,
        out_channels: int = 1,
        widths: Sequence[int] = (256, 128, 64, 32, 16),
        normalisation: Normalisation = "none",
    ) -> None:
        super().__init__()
        if len(widths) != 5:
            raise ValueError(f"widths must hold one width for each of the 5 decoder steps, got {tuple(widths)}")
        self.encoder = DenseNetEncoder(
            blocks, growth=growth, stem=stem, in_channels=in_channels, normalisation=normalisation
        )
        self.decoder = UNetDecoder(self.encoder.channels, widths)
        self.head = nn.Conv2d(widths[-1], out_channels, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, out_channels, H, W) of images (B, in_channels, H, W) or slices (B, 1, H, W) of any size."""
        height, width = images.shape[-2:]
        return self.head(self.decoder(self.encoder(images)))[..., :height, :width]


_OLD_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
"""Layer names in torchvision's files: they contain dots, which PyTorch forbids now."""


def load_densenet(encoder: DenseNetEncoder, path: Path) -> None:
    """Load torchvision's published weights of DenseNet-121; the classifier is left out.

    No code in the file is run. The encoder is unchanged if the weights do not fit.

    Args:
        encoder: DenseNet-121.
        path: ``*.safetensors``, or a state_dict written by ``torch.save``.

    Raises:
        CheckpointError: The file is missing, damaged, no state_dict, or the weights of another network.
    """
    weights = {
        _OLD_NAME.sub(r"\1\2", name): tensor
        for name, tensor in read_tensors(path).items()
        if not name.startswith("classifier.")
    }
    published = "that torchvision publishes for densenet121"
    fit_encoder(encoder, weights, first="features.conv0.weight", path=path, published=published)
