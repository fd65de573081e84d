"""Networks by name and preset: the only module of this package that sees configuration."""

import warnings
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from inspect import signature
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import torch
from pydantic import AfterValidator, Field, model_validator
from torch import nn

from pancascade.errors import RecipeError
from pancascade.execution.memory_shortage import is_memory_shortage
from pancascade.files.file_names import abbreviated
from pancascade.messages.counts import counted
from pancascade.methods.networks.densenet import DenseUNet
from pancascade.methods.networks.dsms_unet import DeeplySupervisedUNet
from pancascade.methods.networks.efficient_unet import EfficientUNet
from pancascade.methods.networks.fcn8s import FCN8s
from pancascade.methods.networks.focusing_net import FocusingNet
from pancascade.methods.networks.focusing_resnet import FocusingResNet
from pancascade.methods.networks.localization_net import LocalizationNet
from pancascade.methods.networks.monai_networks import MonaiNetwork, Net, default_options
from pancascade.methods.networks.multiscale_unet import MultiScaleUNet
from pancascade.methods.networks.presets import PRESETS
from pancascade.methods.networks.resnet_unet import ResNetUNet
from pancascade.methods.networks.saliency import SaliencyTransformation
from pancascade.methods.networks.unet import UNet
from pancascade.methods.networks.unet3d import UNet3d
from pancascade.settings import Settings

NETWORKS: dict[str, type[nn.Module]] = {
    "dense_unet": DenseUNet,
    "dsms_unet": DeeplySupervisedUNet,
    "efficient_unet": EfficientUNet,
    "fcn8s": FCN8s,
    "focusing_net": FocusingNet,
    "focusing_resnet": FocusingResNet,
    "localization_net": LocalizationNet,
    "monai": MonaiNetwork,
    "multiscale_unet": MultiScaleUNet,
    "resnet_unet": ResNetUNet,
    "saliency": SaliencyTransformation,
    "unet": UNet,
    "unet3d": UNet3d,
}


_MOST_LETTERS = 100
"""Of a list of names in a message."""


def _find(kind: str, name: str, known: Mapping[str, Any]) -> Any:
    if name in known:
        return known[name]
    near = get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known: {_first_of(sorted(known))}."
    raise RecipeError(f"Unknown {kind} {abbreviated(name, most=24)!r}. {hint}")


def _first_of(names: Sequence[str]) -> str:
    """Return the names in a row, and only the number of those that do not fit into a sentence."""
    count = len(names)
    while len(", ".join(names[:count])) > _MOST_LETTERS:
        count -= 1
    left = len(names) - count
    return ", ".join(names[:count]) + (f" and {counted(left, 'other')}" if left else "")


def _presets_of(name: str) -> dict[str, dict[str, Any]]:
    """Return the presets of a network; without own presets, one with its constructor's defaults."""
    return PRESETS.get(name, {"paper": {}})


def _check_variants(name: str, network: type[nn.Module], arguments: Mapping[str, Any]) -> None:
    """Refuse a value that is not among the variants of its option."""
    hints = get_type_hints(network.__init__)
    for option, value in arguments.items():
        known = get_args(hints[option]) if get_origin(hints.get(option)) is Literal else None
        if known is not None and value not in known:
            raise RecipeError(f"Network {name!r}: {option} is one of {', '.join(map(repr, known))}, got {value!r}.")


def _arguments(name: str, preset: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a preset's arguments, overridden by the options.

    Raises:
        RecipeError: The name or the preset is unknown.
    """
    _find("network", name, NETWORKS)
    found = _find(f"preset of {name}", preset, _presets_of(name))
    if name == "monai":
        if "net" not in options:
            raise RecipeError(f"Network 'monai' needs net, one of {', '.join(get_args(Net))}.")
        reported = {key: options[key] for key in ("spatial_dims",) if isinstance(options.get(key), int)}
        found = default_options(str(options["net"]), preset=preset, **reported)
    return {**found, **options}


def build(name: str, *, preset: str = "paper", **options: Any) -> nn.Module:
    """Build a network.

    Args:
        name: One of `NETWORKS`.
        preset: One of the network's `PRESETS`: ``paper``, ``small`` (ordinary computers), ``tiny`` (tests), and
            published variants.
        options: Constructor arguments that override the preset's.

    Raises:
        RecipeError: The name, the preset or an option is unknown.
    """
    network = _find("network", name, NETWORKS)
    arguments = _arguments(name, preset, options)
    _check_variants(name, network, arguments)
    try:
        _require_buildable(network, arguments)
        return network(**arguments)
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RuntimeError) as error:
        if is_memory_shortage(error):
            raise
        why = "a negative width" if "negative dimension" in str(error) else " ".join(str(error).split())[:100]
        raise RecipeError(f"Network {name!r} does not take these options: {why}.") from error


MOST_PARAMETERS = 300_000_000
"""Limit per network: twice the largest network of the papers. Training needs four to five times the memory."""

_MOST_LISTED, _LARGEST = 64, 100_000


def _require_buildable(network: type[nn.Module], arguments: Mapping[str, Any]) -> None:
    """Refuse options from which no network can be built, before memory is allocated."""
    for option, value in arguments.items():
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        if len(values) > _MOST_LISTED or any(_is_number(one) and not abs(one) <= _LARGEST for one in values):
            raise ValueError(f"{option} has values that no network has")
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of parameters without elements, which are refused below
        sketch = network(**arguments)
    sizes = [parameter.numel() for parameter in sketch.parameters()]
    if sizes and min(sizes) < 1:
        raise ValueError("a width of 0")
    if sum(sizes) > MOST_PARAMETERS:
        raise ValueError(f"{sum(sizes):.2g} parameters, and at most {MOST_PARAMETERS:,} are built")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


class NetworkSettings(Settings):
    """A network by name, preset and options, as stored in recipes and checkpoints.

    ``{name: monai, net: UNet}`` is short for ``{name: monai, options: {net: UNet}}``.
    """

    name: str
    preset: str = "paper"
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _net_is_an_option_of_monai(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("name") != "monai" or "net" not in given:
            return given
        options = given.get("options", {})
        if not isinstance(options, dict):
            return given
        if options.get("net", given["net"]) != given["net"]:
            raise ValueError("net and options.net differ; give one of them")
        rest = {key: value for key, value in given.items() if key != "net"}
        return {**rest, "options": {"net": given["net"], **options}}

    def resolved(self) -> "NetworkSettings":
        """Return the same network with its preset written out, so that later changes of a preset do not affect it.

        Raises:
            RecipeError: The name or the preset is unknown.
        """
        return NetworkSettings(name=self.name, options=_arguments(self.name, self.preset, self.options))

    @property
    def gives_several_maps(self) -> bool:
        """Whether the network returns several logit maps, of which the last is the final prediction."""
        return self.name in _SEVERAL_MAPS

    @property
    def takes_any_size(self) -> bool:
        """Whether the sides of images need not be divisible by 16."""
        return self.name in (*_REPEATING, "monai")

    def takes(self, channels: int) -> bool:
        """Return whether images of so many channels fit; networks on ResNets repeat one. Unknown networks pass."""
        network = NETWORKS.get(self.name)
        known = signature(network.__init__).parameters.get("in_channels") if network is not None else None
        if known is None or (channels == 1 and self.name in _REPEATING):
            return True
        preset = _presets_of(self.name).get(self.preset, {})
        return bool({"in_channels": known.default, **preset, **self.options}["in_channels"] == channels)

    def build(self, **more: Any) -> nn.Module:
        """Build the network with fresh weights; the cascade gives ``more`` options.

        Raises:
            RecipeError: The name, the preset or an option is unknown.
        """
        return build(self.name, preset=self.preset, **{**self.options, **more})


def _gives_one_map(network: NetworkSettings) -> NetworkSettings:
    if network.name in (*_SEVERAL_MAPS, *_NO_MAP):
        known = ", ".join(sorted(NETWORKS.keys() - {*_SEVERAL_MAPS, *_NO_MAP, "saliency"}))
        raise ValueError(f"{network.name} does not give one map of logits here; networks that do: {known}")
    return network


def _gives_maps(network: NetworkSettings) -> NetworkSettings:
    if network.name in _NO_MAP:
        raise ValueError(f"{network.name} gives no map of logits; it is stage 1 of kind lsnet only")
    return network


_REPEATING = ("dense_unet", "fcn8s", "focusing_resnet", "localization_net", "resnet_unet")

_SEVERAL_MAPS, _NO_MAP = ("focusing_net", "focusing_resnet"), ("localization_net",)

OneMapNetwork = Annotated[NetworkSettings, AfterValidator(_gives_one_map)]
"""A network that returns one logit map, as most stages need."""

MapNetwork = Annotated[NetworkSettings, AfterValidator(_gives_maps)]
"""A network that returns one logit map, or several, of which the last is the final prediction."""

__all__ = ["NETWORKS", "PRESETS", "MapNetwork", "NetworkSettings", "OneMapNetwork", "build"]
