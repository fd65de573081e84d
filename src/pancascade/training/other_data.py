"""Use of a recipe on another data set: the method stays, the data sources are replaced."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pancascade.data.readers import Layout, recognise
from pancascade.errors import DataError, RecipeError
from pancascade.files.documents import first_fault
from pancascade.files.given_paths import real_path
from pancascade.files.yaml_documents import read_yaml
from pancascade.training.data_source import DataSource
from pancascade.training.pretrained import find_weights
from pancascade.training.recipe import read_recipe

PICTURE_KEYS = {"window", "flip_rows", "region_margin", "mask_values", "without_masks", "pixel_mm"}
"""Settings of a source for the reading of its pictures."""

SEEDED = Path("seeded")
"""Placeholder for a split file: the split is drawn by the recipe's seed."""


def recipe_on(
    recipe: Path,
    data_set: Path,
    *,
    split: Path | None = None,
    fold: int | None = None,
    keep: str | None = None,
    scans: Path | None = None,
) -> str:
    """Return the text of a recipe with this data set as only source; all other settings are unchanged.

    Args:
        recipe: YAML file.
        data_set: Folder of any known layout, a prepared store, corrected results, or the CSV of a volume list.
        split: Split file; ``seeded`` draws 70 / 10 / 20 % of the patients by the recipe's seed. None does the same,
            except for corrected results, which are then all used for training.
        fold: For a split of folds, the test fold.
        keep: Rule for the slices to use; None keeps the rule of the recipe's first source.
        scans: For corrected results, the folder of their scans or the CSV that lists them.

    Raises:
        DataError: The data set or the split file is missing, or the data set has no known layout.
        RecipeError: The recipe is damaged, ``keep`` is unknown, or the data are pictures and the recipe has no settings
            for their reading.
    """
    own = read_recipe(recipe).data[0]
    drawn = split == SEEDED
    if split is not None and not drawn and not split.is_file():
        raise DataError(f"{split}: no such split file. Check the path, or leave --split out to draw one.")
    layout = recognise(data_set)
    if layout is Layout.SLICE_FOLDER and own.reader is not layout:
        raise RecipeError(
            f"{data_set}: pictures, and {recipe.name} has no settings to read them. Make a store of them with "
            "`pancascade data prepare`, with --picture-window and --flip-rows."
        )
    source: dict[str, Any] = {"reader": layout.value, "folder": str(real_path(data_set)), "keep": keep or own.keep}
    if layout is not Layout.CORRECTIONS or split is not None:
        source["split"] = str(SEEDED) if split is None or drawn else str(real_path(split))
    if scans is not None:
        source["scans"] = str(real_path(scans))
    if fold is not None:
        source["fold"] = fold
    if layout is Layout.SLICE_FOLDER:
        source |= own.model_dump(mode="json", include=PICTURE_KEYS)
    try:
        DataSource.model_validate(source)
    except ValidationError as error:
        raise RecipeError(f"--{first_fault(error)}.") from error
    content: dict[str, Any] = read_yaml(recipe)
    content["data"] = [source]
    if "pretrained" in content:
        content["pretrained"] = {name: _kept(path, recipe.parent) for name, path in content["pretrained"].items()}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _kept(path: str, beside: Path) -> str:
    """Return a path beside the recipe as absolute path; a path in an installed package unchanged."""
    own = beside / path
    return str(own) if find_weights(Path(path), beside=beside) == own else path
