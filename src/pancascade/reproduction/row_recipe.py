"""The recipe of one row of a table: a shipped recipe with the row's changes, on the given data."""

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pancascade.data.readers import Layout
from pancascade.data.readers.data_reading import DataReading
from pancascade.errors import DataError, RecipeError
from pancascade.files.atomic import written_whole
from pancascade.files.digests import text_digest
from pancascade.files.documents import first_fault
from pancascade.files.given_paths import real_path
from pancascade.files.yaml_documents import read_yaml
from pancascade.reproduction.published_tables import PublishedRow, Scale, Table
from pancascade.training import Recipe, find_recipe, read_recipe


@dataclass(frozen=True)
class DataPlace:
    """Place of the data set, and how it is read.

    Attributes:
        path: Its folder, or the CSV file of a volume list.
        reading: Its layout, and how pictures are read.
    """

    path: Path
    reading: DataReading

    def source(self, *, split: Path, fold: int | None, keep: str) -> dict[str, Any]:
        """Return the data source of a recipe that reads it."""
        found: dict[str, Any] = {
            "reader": self.reading.layout.value,
            "folder": str(real_path(self.path)),
            "split": str(real_path(split)),
            "keep": keep,
        }
        if fold is not None:
            found["fold"] = fold
        if self.reading.layout is Layout.SLICE_FOLDER:
            found |= self.reading.model_dump(mode="json", include={"window", "flip_rows"})
        return found


def row_recipe(
    table: Table, row: PublishedRow, *, scale: Scale, regions: bool, seed: int, epochs: int | None = None
) -> dict[str, Any]:
    """Return a row's recipe without its data.

    Args:
        table: The table.
        row: A row that is made.
        scale: The paper's, or ours for ordinary computers.
        regions: Whether the data are cropped to the pancreas, which needs another canvas.
        seed: Seed of weights, order and augmentation.
        epochs: Total number, divided among the phases in the recipe's proportion; None keeps the recipe's.

    Raises:
        RecipeError: The recipe is unknown or damaged, or the row changes a setting that it does not have.
        DataError: The row is only quoted.
    """
    if row.make is None:
        raise DataError(f"{row.name}: is only quoted ({row.quoted}).")
    settings, own = table.scales[scale], row.make.at(scale)
    name = own.recipe or row.make.recipe or settings.recipe
    path = find_recipe(name)
    read_recipe(path)  # reports faults of a user's own recipe
    content: dict[str, Any] = read_yaml(path)
    if name == settings.recipe:
        _change(content, settings.changes, name=row.name)
        if regions:
            _change(content, settings.on_regions, name=row.name)
    for changes in (row.make.changes, own.changes):
        _change(content, changes, name=row.name)
    content |= {"seed": seed, "name": content.get("name", name)}
    if epochs is not None:
        try:
            content["phases"] = shared_out(content["phases"], epochs)
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            raise RecipeError(f"row {row.name}: its phases are no list of names with epochs.") from error
    return content


def shared_out(phases: list[dict[str, Any]], epochs: int) -> list[dict[str, Any]]:
    """Return phases with this total of epochs, in the same proportion; each keeps at least one.

    Args:
        phases: Phases of a recipe: ``name`` and ``epochs``.
        epochs: Total number; if there are more phases, each gets one.
    """
    total = sum(phase["epochs"] for phase in phases)
    shares = [max(1, round(epochs * phase["epochs"] / total)) for phase in phases]
    longest = max(range(len(phases)), key=lambda place: phases[place]["epochs"])
    shares[longest] = max(1, shares[longest] + epochs - sum(shares))
    return [{**phase, "epochs": share} for phase, share in zip(phases, shares, strict=True)]


def recipe_digest(recipe: Mapping[str, Any], *, data: str, split: str, fold: int | None, keep: str) -> str:
    """Return a digest of all that the weights depend on, in eight hexadecimal digits, without names and paths.

    Args:
        recipe: Recipe without its data.
        data: Name of the data set.
        split: Digest of the split file.
        fold: Fold of the split.
        keep: Slices used for training.
    """
    described = {key: value for key, value in recipe.items() if key not in ("name", "description", "data")}
    return text_digest(json.dumps([described, data, split, fold, keep], sort_keys=True, default=str))[:8]


def write_recipe(path: Path, recipe: Mapping[str, Any], source: Mapping[str, Any]) -> None:
    """Write a recipe for `pancascade.training.fit`.

    Args:
        path: YAML file to write.
        recipe: Recipe without its data.
        source: Its only data source.

    Raises:
        OutputError: The file cannot be written.
    """
    with written_whole(path) as temporary:
        text = yaml.safe_dump({**recipe, "data": [dict(source)]}, sort_keys=False, allow_unicode=True)
        temporary.write_text(text, encoding="utf-8")


def checked(recipe: Mapping[str, Any], source: Mapping[str, Any], *, row: str) -> Recipe:
    """Return the recipe as typed settings.

    Raises:
        RecipeError: It is not valid; the message names the row.
    """
    try:
        return Recipe.model_validate({**recipe, "data": [dict(source)]})
    except ValidationError as error:
        raise RecipeError(f"row {row}: not a recipe ({first_fault(error)}).") from error


def _change(content: dict[str, Any], changes: Mapping[str, Any], *, name: str) -> None:
    for place, value in changes.items():
        *above, last = place.split(".")
        inner = content
        for key in above:
            inner = inner.setdefault(key, {})
            if not isinstance(inner, dict):
                raise RecipeError(f"row {name}: changes {place}, but {key} holds no settings.")
        new = deepcopy(value)
        if last == "options" and isinstance(inner.get(last), dict):
            new = {**inner[last], **new}
        inner[last] = new
