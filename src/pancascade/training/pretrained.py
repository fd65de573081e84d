"""Loading of published weights into the encoders of a cascade."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import nn

from pancascade.errors import RecipeError
from pancascade.files.documents import shortened
from pancascade.methods.networks.densenet import DenseNetEncoder, load_densenet
from pancascade.methods.networks.efficientnet import EfficientNetEncoder, load_efficientnet
from pancascade.methods.networks.resnet import ResNetEncoder, load_resnet
from pancascade.methods.networks.vgg import VggEncoder, load_vgg

_LOADERS: dict[type[nn.Module], Callable[[Any, Path], None]] = {
    DenseNetEncoder: load_densenet,
    EfficientNetEncoder: load_efficientnet,
    ResNetEncoder: load_resnet,
    VggEncoder: load_vgg,
}
"""Loader of the published weights of each encoder."""


def load_pretrained_encoders(cascade: nn.Module, files: Mapping[str, Path], *, beside: Path) -> None:
    """Load weight files into the encoders of a cascade.

    Args:
        cascade: Cascade; its encoders are found by name, like ``first.encoder``.
        files: Path by encoder: absolute, beside the recipe, or ``PACKAGE/PATH`` within an installed package.
        beside: Folder of the recipe.

    Raises:
        RecipeError: No encoder has this name.
        CheckpointError: A file is missing, damaged, or of another network.
    """
    for name, path in files.items():
        encoder = _encoder(cascade, name)
        _LOADERS[type(encoder)](encoder, find_weights(path, beside=beside))


def find_weights(path: Path, *, beside: Path) -> Path:
    """Return the path of a weight file: beside the recipe, or else in the package that its path starts with.

    Args:
        path: Absolute, beside the recipe, or ``PACKAGE/PATH``.
        beside: Folder of the recipe.
    """
    own = beside / path
    # find_spec treats dots as submodules, and would import their parents.
    if own.exists() or path.is_absolute() or len(path.parts) < 2 or not path.parts[0].isidentifier():
        return own
    package = find_spec(path.parts[0])
    if package is None or not package.submodule_search_locations:
        return own
    return Path(package.submodule_search_locations[0], *path.parts[1:])


def _encoder(cascade: nn.Module, name: str) -> nn.Module:
    encoders = {path: part for path, part in cascade.named_modules() if type(part) in _LOADERS}
    if name not in encoders:
        known = ", ".join(encoders) or "none"
        raise RecipeError(
            f"pretrained: {shortened(name, 40)} is no encoder of this cascade that has "
            f"published weights; it has: {known}."
        )
    return encoders[name]
