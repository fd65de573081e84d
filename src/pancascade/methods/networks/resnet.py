"""ResNet-18, ResNet-34 and ResNet-50 encoders in torchvision's parameter layout, for its published weights."""

from pathlib import Path
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from pancascade.methods.networks.encoder_input import Normalisation, encoder_input, require_normalisation
from pancascade.methods.networks.pretrained import fit_encoder, read_tensors

Depth = Literal[18, 34, 50]

STRIDE = 32
"""Stride of the deepest features: pixels per position along each axis."""

BLOCKS: dict[Depth, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
}


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    """Return the shortcut of a block; None for the identity."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm2d(out_channels)
    )


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with a shortcut, 1×1 if the shape changes (He et al. 2016, Fig. 2)."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, in, H, W) to (B, out, H/stride, W/stride)."""
        identity = features if self.downsample is None else self.downsample(features)
        inner = functional.relu(self.bn1(self.conv1(features)), inplace=True)
        return functional.relu(self.bn2(self.conv2(inner)) + identity, inplace=True)


class Bottleneck(nn.Module):
    """1×1 to a quarter of the channels, 3×3 with the stride, 1×1 back, with a shortcut (He et al. 2016, Fig. 5)."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        inner = out_channels // 4
        self.conv1 = nn.Conv2d(in_channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, in, H, W) to (B, out, H/stride, W/stride)."""
        identity = features if self.downsample is None else self.downsample(features)
        inner = functional.relu(self.bn1(self.conv1(features)), inplace=True)
        inner = functional.relu(self.bn2(self.conv2(inner)), inplace=True)
        return functional.relu(self.bn3(self.conv3(inner)) + identity, inplace=True)


class ResNetEncoder(nn.Module):
    """ResNet without pooling and classifier, with features at five resolutions for a decoder.

    Parameters with the default width: ResNet-18 11,176,512; ResNet-34 21,284,672; ResNet-50 23,508,032; each 6,272
    less with one input channel. Names and shapes of parameters and buffers are torchvision's (``conv1.weight`` …
    ``layer4.1.bn2.bias``).

    Args:
        depth: 18, 34 or 50.
        in_channels: 3 as published, or another number.
        base_width: Channels of the stem; 64 as published.
        normalisation: ``imagenet`` shifts and scales images as the published weights expect; ``none`` leaves them
            unchanged.

    Attributes:
        channels: Channels at strides 2, 4, 8, 16 and 32: w, w, 2w, 4w, 8w; for ResNet-50 w, 4w, 8w, 16w, 32w.

    Source: He et al. 2016, Table 1; L-SNet's backbones (methods.md §B1).
    """

    def __init__(
        self,
        depth: Depth = 18,
        *,
        in_channels: int = 3,
        base_width: int = 64,
        normalisation: Normalisation = "none",
    ) -> None:
        super().__init__()
        if depth not in BLOCKS:
            raise ValueError(f"depth must be one of {', '.join(map(str, BLOCKS))}, got {depth}")
        require_normalisation(normalisation)
        self.depth = depth
        self.normalisation = normalisation
        block: type[BasicBlock | Bottleneck] = Bottleneck if depth == 50 else BasicBlock
        width = 4 * base_width if depth == 50 else base_width
        self.channels = (base_width, width, 2 * width, 4 * width, 8 * width)
        self.conv1 = nn.Conv2d(in_channels, base_width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(base_width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        layers = [
            self._layer(block, inputs, outputs, blocks, stride=1 if level == 0 else 2)
            for level, (inputs, outputs, blocks) in enumerate(
                zip(self.channels[:-1], self.channels[1:], BLOCKS[depth], strict=True)
            )
        ]
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @staticmethod
    def _layer(
        block: type[BasicBlock | Bottleneck], in_channels: int, out_channels: int, blocks: int, *, stride: int
    ) -> nn.Sequential:
        first = block(in_channels, out_channels, stride=stride)
        return nn.Sequential(first, *(block(out_channels, out_channels) for _ in range(blocks - 1)))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return features of images (B, in_channels, H, W), or of slices (B, 1, H, W), copied to all input channels.

        H and W are padded with zeros at the far ends to multiples of 32.

        Returns:
            Five maps (B, channels[i], ⌈H⌉/s, ⌈W⌉/s) at strides s = 2 (the stem before its max-pooling), 4, 8, 16, 32,
            where ⌈ ⌉ is the next multiple of 32.
        """
        stem = functional.relu(self.bn1(self.conv1(self._prepared(images))), inplace=True)
        quarter = self.layer1(self.maxpool(stem))
        eighth = self.layer2(quarter)
        sixteenth = self.layer3(eighth)
        return stem, quarter, eighth, sixteenth, self.layer4(sixteenth)

    def _prepared(self, images: Tensor) -> Tensor:
        images = encoder_input(images, channels=self.conv1.in_channels, normalisation=self.normalisation)
        height, width = images.shape[-2:]
        return functional.pad(images, (0, -width % STRIDE, 0, -height % STRIDE))


def load_resnet(encoder: ResNetEncoder, path: Path) -> None:
    """Load published weights into an encoder; the classifier ``fc.*`` is left out.

    The weights expect images normalised by `pancascade.methods.networks.encoder_input.normalised_for_imagenet`. No code
    in the file is run. The encoder is unchanged if the weights do not fit.

    Args:
        encoder: ResNet-18, ResNet-34 or ResNet-50.
        path: ``*.safetensors``, or a state_dict written by ``torch.save``.

    Raises:
        CheckpointError: The file is missing, damaged, no state_dict, or the weights of another network.
    """
    weights = {name: tensor for name, tensor in read_tensors(path).items() if not name.startswith("fc.")}
    published = f"that torchvision publishes for resnet{encoder.depth}, and an encoder of their width"
    fit_encoder(encoder, weights, first="conv1.weight", path=path, published=published)
