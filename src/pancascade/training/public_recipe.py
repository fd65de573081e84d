"""Recipes without folder names, which may contain patients' names."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from pancascade.files.yaml_documents import parse_yaml
from pancascade.training.recipe import recipes_folder

_PATHS = ("folder", "split", "scans")
"""Keys of a data source that contain a path."""


def public_recipe(settings: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe's settings with only the last part of every path; paths of shipped files are unchanged.

    Args:
        settings: Settings of a recipe's file, or `Recipe.model_dump` in JSON types.
    """
    reported = deepcopy(settings)
    sources = reported.get("data")
    for source in sources if isinstance(sources, list) else ():
        for key in _PATHS:
            if isinstance(source, dict) and source.get(key) is not None:
                source[key] = _named(str(source[key]))
    weights = reported.get("pretrained")
    if isinstance(weights, dict):  # paths in a package are relative to it
        reported["pretrained"] = {
            name: Path(path).name if Path(path).is_absolute() else path for name, path in weights.items()
        }
    return reported


def public_text(text: str) -> str:
    """Return the text of a recipe with only the last part of every path; unchanged if there is no longer path.

    Args:
        text: Text of a readable recipe.
    """
    settings = parse_yaml(text)
    reported = public_recipe(settings)
    return text if reported == settings else yaml.safe_dump(reported, sort_keys=False, allow_unicode=True)


def _named(path: str) -> str:
    shipped = not Path(path).is_absolute() and (recipes_folder() / path).is_file()
    return path if shipped else Path(path).name or path
