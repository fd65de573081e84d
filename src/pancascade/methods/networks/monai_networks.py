"""Networks of other papers, built by MONAI (extra ``baselines``)."""

import io
import math
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from importlib import import_module
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pancascade.errors import RecipeError

Net = Literal["AttentionUnet", "BasicUNetPlusPlus", "DiNTS", "DynUNet", "FlexibleUNet", "SegResNet", "UNet"]

SpatialDims = Literal[2, 3]

_WIDE, _MIDDLE = (64, 128, 256, 512, 1024), (32, 64, 128, 256, 512)

DEFAULTS: dict[int, dict[Net, dict[str, Any]]] = {
    2: {
        "AttentionUnet": {"channels": _WIDE, "strides": (2, 2, 2, 2)},
        "BasicUNetPlusPlus": {"features": (*_MIDDLE, 32)},
        "DiNTS": {"num_blocks": 12, "num_depths": 4, "channel_mul": 0.5},
        "DynUNet": {
            "filters": (32, 64, 128, 256, 512, 512, 512, 512),
            "kernel_size": (3,) * 8,
            "strides": (1, 2, 2, 2, 2, 2, 2, 2),
        },
        "FlexibleUNet": {"backbone": "resnet50"},
        "SegResNet": {"init_filters": 32, "blocks_down": (1, 2, 2, 4), "blocks_up": (1, 1, 1)},
        "UNet": {"channels": _WIDE, "strides": (2, 2, 2, 2), "num_res_units": 2},
    },
    3: {
        "AttentionUnet": {"channels": _MIDDLE, "strides": (2, 2, 2, 2)},
        "BasicUNetPlusPlus": {"features": (32, 32, 64, 128, 256, 32)},
        "DiNTS": {"num_blocks": 12, "num_depths": 4, "channel_mul": 0.5},
        "DynUNet": {
            "filters": (32, 64, 128, 256, 320, 320),
            "kernel_size": ((3, 3, 1), 3, 3, 3, 3, 3),
            "strides": (1, (2, 2, 1), 2, 2, 2, (2, 2, 1)),
        },
        "FlexibleUNet": {"backbone": "resnet50"},
        "SegResNet": {"init_filters": 32, "blocks_down": (1, 2, 2, 4), "blocks_up": (1, 1, 1)},
        "UNet": {"channels": _MIDDLE, "strides": (2, 2, 2, 2), "num_res_units": 2},
    },
}
"""Default arguments. Widths are those of the methods' papers if given; the rest are MONAI's defaults.

UNet with residual units is the row Res-UNet, FlexibleUNet the row ResNet50. DynUNet has the stages of nnU-Net's plans
for such CTs; in volumes the axial axis is the last.
"""

TINY: dict[Net, dict[str, Any]] = {
    "AttentionUnet": {"channels": (4, 8, 8), "strides": (2, 2)},
    "BasicUNetPlusPlus": {"features": (4, 4, 4, 4, 4, 4)},
    "DiNTS": {"num_blocks": 2, "num_depths": 2, "channel_mul": 0.125},
    "DynUNet": {"filters": (4, 8, 8), "kernel_size": (3, 3, 3), "strides": (1, 2, 2)},
    "FlexibleUNet": {"backbone": "resnet10", "decoder_channels": (8, 8, 4, 4, 4)},
    "SegResNet": {"init_filters": 8, "blocks_down": (1, 1), "blocks_up": (1,)},
    "UNet": {"channels": (4, 8, 8), "strides": (2, 2), "num_res_units": 2},
}
"""Arguments for tests, in 2-D and 3-D."""

_OURS = {
    "DynUNet": ("deep_supervision", "the losses here do not train its side outputs"),
    "FlexibleUNet": ("pretrained", "its weights would be downloaded"),
}
"""Options that are refused, and the reason."""


def default_options(net: str, *, spatial_dims: int = 2, preset: str = "paper") -> dict[str, Any]:
    """Return the default arguments of a network; empty for an unknown network."""
    known: Mapping[Any, dict[str, Any]] = TINY if preset == "tiny" else DEFAULTS.get(spatial_dims, {})
    return dict(known.get(net, {}))


class MonaiNetwork(nn.Module):
    """A MONAI network that returns logits for images of any size.

    Images are padded with zeros at the far ends to a size that the network accepts, and the logits are cropped back.
    A BasicUNetPlusPlus with ``deep_supervision`` returns the mean of its four maps, the "accurate mode" of U-Net++.
    DiNTS is an architecture of its search space, by default every path with a 3×3 convolution; ``arch_code_a``,
    ``arch_code_c`` and ``node_a`` (MONAI's names) give a searched one.

    Parameters with the defaults and one channel in 2-D: AttentionUnet 31,739,185; UNet 25,969,628; FlexibleUNet
    32,103,409.

    Args:
        net: MONAI's name of the network.
        spatial_dims: 2 for slices, 3 for volumes.
        in_channels: Channels of an image.
        out_channels: Number of logit maps.
        options: MONAI's arguments of the network; missing ones come from `default_options`.

    Raises:
        RecipeError: MONAI is not installed, or an option is not supported here.

    Source: docs/comparison-methods.md names each method's paper.
    """

    def __init__(
        self,
        *,
        net: Net,
        spatial_dims: SpatialDims = 2,
        in_channels: int = 1,
        out_channels: int = 1,
        **options: Any,
    ) -> None:
        super().__init__()
        refused, why = _OURS.get(net, ("", ""))
        if options.get(refused):
            raise RecipeError(f"Network 'monai': {net} takes no {refused} here: {why}. Leave it out.")
        given = {name: _as_tuple(value) for name, value in options.items()}
        arguments = {**default_options(net, spatial_dims=spatial_dims), **given}
        self.divisors = _divisors(net, arguments, spatial_dims)
        self.mean_of_maps = bool(arguments.get("deep_supervision"))
        shape = {"spatial_dims": spatial_dims, "in_channels": in_channels, "out_channels": out_channels}
        self.network = _dints(arguments, shape) if net == "DiNTS" else _made(net, arguments, shape)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, out_channels, *S) of images (B, in_channels, *S)."""
        sides = images.shape[2:]
        missing = [_enough(side, by) - side for side, by in zip(sides, self.divisors, strict=True)]
        if any(missing):
            images = functional.pad(images, [width for side in reversed(missing) for width in (0, side)])
        maps = self.network(images)
        if isinstance(maps, (list, tuple)):
            maps = torch.stack(list(maps)).mean(dim=0) if self.mean_of_maps else maps[-1]
        if not any(missing):
            return maps
        return maps[(..., *(slice(0, side) for side in sides))]


def _enough(side: int, divisor: int) -> int:
    """Return the next multiple, at least two positions at the deepest level: normalisations cannot train on one."""
    return max(2, -(-side // divisor)) * divisor


def _divisors(net: Net, arguments: Mapping[str, Any], axes: int) -> tuple[int, ...]:
    """Return the divisor of each side of an image."""
    if net in ("AttentionUnet", "DynUNet", "UNet"):
        steps = [step if isinstance(step, Sequence) else (step,) * axes for step in arguments["strides"]]
        return tuple(math.prod(step[axis] for step in steps) for axis in range(axes))
    halvings = {
        "BasicUNetPlusPlus": 4,
        "DiNTS": arguments.get("num_depths", 4) + 1,
        "FlexibleUNet": 5,
        "SegResNet": len(arguments.get("blocks_down", ())) - 1,
    }[net]
    return (2**halvings,) * axes


def _as_tuple(value: Any) -> Any:
    """Convert lists from YAML to the tuples that MONAI needs."""
    return tuple(_as_tuple(one) for one in value) if isinstance(value, (list, tuple)) else value


def _nets() -> Any:
    try:
        return import_module("monai.networks.nets")
    except ImportError as error:
        raise RecipeError(
            "Network 'monai' needs MONAI, which is not installed. Run: pip install 'pancascade[baselines]'"
        ) from error


def _made(net: Net, arguments: Mapping[str, Any], shape: Mapping[str, int]) -> nn.Module:
    more = dict(arguments)
    if net == "DynUNet":
        more.setdefault("upsample_kernel_size", more["strides"][1:])
    made: nn.Module = getattr(_nets(), net)(**shape, **more)
    return made


def _dints(arguments: Mapping[str, Any], shape: Mapping[str, int]) -> nn.Module:
    """Build DiNTS with a fixed architecture."""
    nets, more = _nets(), dict(arguments)
    blocks, depths = more["num_blocks"], more["num_depths"]
    paths = 3 * depths - 2
    codes = [more.pop(name, None) for name in ("arch_code_a", "arch_code_c")]
    code = [np.ones((blocks, paths), np.int64) if one is None else np.asarray(one, np.int64) for one in codes]
    if any(one.shape != (blocks, paths) for one in code):
        raise ValueError(f"arch_code_a and arch_code_c need {blocks} rows of {paths}")
    nodes = more.pop("node_a", ((1,) * depths,) * (blocks + 1))
    both = {name: more.pop(name) for name in ("act_name", "norm_name", "use_downsample") if name in more}
    # MONAI prints a recommendation, which is suppressed.
    with redirect_stdout(io.StringIO()):
        space = nets.TopologyInstance(arch_code=code, spatial_dims=shape["spatial_dims"], **more, **both)
    # As tensors they would make `forward` depend on data, and export would fail.
    space.arch_code_a = code[0]
    made: nn.Module = nets.DiNTS(
        space,
        in_channels=shape["in_channels"],
        num_classes=shape["out_channels"],
        spatial_dims=shape["spatial_dims"],
        node_a=nodes,
        **both,
    )
    return made
