"""A recipe as it may travel: data sets, splits and weights by their names, for a folder's name may be a patient's."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from pancascade.files.yaml_documents import parse_yaml
from pancascade.training.recipe import recipes_folder

_PATHS = ("folder", "split", "scans")
"""Keys of a data source that hold a path."""


def public_recipe(settings: dict[str, Any]) -> dict[str, Any]:
    """A recipe's settings with the last part alone of every path; what is shipped keeps its place.

    Args:
        settings: As a recipe's file holds them, or `Recipe.model_dump` in JSON's types.
    """
    reported = deepcopy(settings)
    for source in reported.get("data") or ():
        for key in _PATHS:
            if source.get(key) is not None:
                source[key] = _named(str(source[key]))
    weights = reported.get("pretrained")
    if weights:  # those of a package are given from the package on
        reported["pretrained"] = {
            name: Path(path).name if Path(path).is_absolute() else path for name, path in weights.items()
        }
    return reported


def public_text(text: str) -> str:
    """The text of a recipe's file with the last part alone of every path; as it is where it has no other.

    Args:
        text: Of a recipe that can be read.
    """
    settings = parse_yaml(text)
    reported = public_recipe(settings)
    return text if reported == settings else yaml.safe_dump(reported, sort_keys=False, allow_unicode=True)


def _named(path: str) -> str:
    shipped = not Path(path).is_absolute() and (recipes_folder() / path).is_file()
    return path if shipped else Path(path).name or path
