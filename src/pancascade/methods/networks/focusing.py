"""Focusing module and context exploration block: remove false positives, add false negatives (Fig. 6)."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from pancascade.methods.networks.unet import conv_bn_relu

Discover = Literal["both", "false_positives", "false_negatives"]


def double_size(maps: Tensor) -> Tensor:
    """Enlarge (B, C, H, W) to (B, C, 2H, 2W), bilinear with aligned corners."""
    return functional.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=True)


class ContextExploration(nn.Module):
    """Four branches with growing kernels and dilations, each with the output of the previous one added to its input.

    Args:
        channels: Input and output channels c; a branch has q = c/4.
        reduce_kernel: Kernel of the reducing and fusing convolutions: 1 (PFNet's and the authors' code) or 3
            (the paper's text).

    Source: Qiu et al. 2024, §3.2.2.
    """

    KERNELS = (1, 3, 5, 7)
    DILATIONS = (1, 2, 4, 8)

    def __init__(self, channels: int, *, reduce_kernel: Literal[1, 3] = 1) -> None:
        super().__init__()
        quarter = channels // 4
        self.reduce = nn.ModuleList(conv_bn_relu(channels, quarter, reduce_kernel) for _ in self.KERNELS)
        self.local = nn.ModuleList(conv_bn_relu(quarter, quarter, kernel) for kernel in self.KERNELS)
        self.context = nn.ModuleList(
            conv_bn_relu(quarter, quarter, 3, dilation=dilation) for dilation in self.DILATIONS
        )
        self.fuse = conv_bn_relu(4 * quarter, channels, reduce_kernel)

    def forward(self, features: Tensor) -> Tensor:
        """Transform features (B, c, H, W) to the same shape."""
        branches: list[Tensor] = []
        for reduce, local, context in zip(self.reduce, self.local, self.context, strict=True):
            reduced = reduce(features)
            branches.append(context(local(reduced + branches[-1] if branches else reduced)))
        return self.fuse(torch.cat(branches, dim=1))


class Focusing(nn.Module):
    """Focusing module: refines the deeper prediction with the features of one level.

    F_up = U(CBR(F_h)); F_r = BR(F_up - λ F_fpd); F'_r = BR(F_r + γ F_fnd); logit = Conv7×7(F'_r).

    Parameters for (channels, deeper_channels) = (256, 512), (128, 256), (64, 128), (32, 64):
    7,688,195 / 1,927,171 / 484,355 / 122,371.

    Args:
        channels: Number of channels c of this level.
        deeper_channels: Number of channels c_h of the deeper level.
        discover: Which errors are corrected (Qiu et al. 2024, Fig. 10).

    Source: Qiu et al. 2024, §3.2.2, Eq. 9; sigmoid for the printed one-channel softmax (methods.md §A1).
    """

    def __init__(
        self,
        channels: int,
        deeper_channels: int,
        *,
        reduce_kernel: Literal[1, 3] = 1,
        discover: Discover = "both",
    ) -> None:
        super().__init__()
        self.discover: Discover = discover
        self.up = conv_bn_relu(deeper_channels, channels, 7)
        if discover != "false_negatives":
            self.false_positives = ContextExploration(channels, reduce_kernel=reduce_kernel)
            self.suppress = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
            self.false_positive_scale = nn.Parameter(torch.ones(1))
        if discover != "false_positives":
            self.false_negatives = ContextExploration(channels, reduce_kernel=reduce_kernel)
            self.supplement = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
            self.false_negative_scale = nn.Parameter(torch.ones(1))
        self.map = nn.Conv2d(channels, 1, 7, padding=3)

    def forward(self, features: Tensor, deeper_features: Tensor, deeper_logits: Tensor) -> tuple[Tensor, Tensor]:
        """Refine one level.

        Args:
            features: F_c of this level, (B, c, H, W).
            deeper_features: F_h, (B, c_h, H/2, W/2).
            deeper_logits: Prediction of the deeper level, (B, 1, H/2, W/2).

        Returns:
            Refined features (B, c, H, W) and logits (B, 1, H, W).
        """
        foreground = torch.sigmoid(double_size(deeper_logits))
        refined = double_size(self.up(deeper_features))
        if self.discover != "false_negatives":
            interference = self.false_positives(features * foreground)
            refined = self.suppress(refined - self.false_positive_scale.to(refined.dtype) * interference)
        if self.discover != "false_positives":
            missed = self.false_negatives(features * (1 - foreground))
            refined = self.supplement(refined + self.false_negative_scale.to(refined.dtype) * missed)
        return refined, self.map(refined)


class SkipFusion(nn.Module):
    """Plain fusion of two levels, which replaces a focusing module in the ablation without it.

    Source: ablation row "+L" of Qiu et al. 2024, Table 3.
    """

    def __init__(self, channels: int, deeper_channels: int) -> None:
        super().__init__()
        self.up = conv_bn_relu(deeper_channels, channels)
        self.fuse = conv_bn_relu(2 * channels, channels)
        self.map = nn.Conv2d(channels, 1, 7, padding=3)

    def forward(self, features: Tensor, deeper_features: Tensor, deeper_logits: Tensor) -> tuple[Tensor, Tensor]:
        """Fuse two levels, as Focusing.forward; the deeper logits are added to this level's map."""
        refined = self.fuse(torch.cat((features, double_size(self.up(deeper_features))), dim=1))
        return refined, self.map(refined) + double_size(deeper_logits)
