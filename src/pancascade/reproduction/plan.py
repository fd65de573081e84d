"""Plan the trainings of a table: rows × folds, each training once however many rows need it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pancascade.data.readers import Layout
from pancascade.errors import DataError, RecipeError
from pancascade.files.digests import content_digest
from pancascade.reproduction.counted_cases import CountedCases
from pancascade.reproduction.published_numbers import CASE_QUANTITIES, CaseQuantity
from pancascade.reproduction.published_tables import PublishedRow, Scale, Table
from pancascade.reproduction.row_recipe import DataPlace, checked, recipe_digest, row_recipe
from pancascade.reproduction.table_split import Fold, folds_of


@dataclass(frozen=True)
class Choices:
    """Options of a reproduction beside the table.

    Attributes:
        scale: The paper's, or ours for ordinary computers.
        seed: Seed of split, weights, order and augmentation.
        epochs: Epochs of each training; None takes the recipe's.
        rows: Names of rows to make; empty for all that can be made.
        folds: Folds to run; empty for all.
        masks: Folders of other software's masks, by row.
    """

    scale: Scale = "paper"
    seed: int = 0
    epochs: int | None = None
    rows: tuple[str, ...] = ()
    folds: tuple[int, ...] = ()
    masks: Mapping[str, Path] | None = None


@dataclass(frozen=True)
class PlannedTraining:
    """One training.

    Attributes:
        name: Name of its folder: method, digest, fold; the same for every row and table that needs it.
        digest: Digest of all that the weights depend on.
        recipe: Recipe without its data.
        source: Its only data source.
        fold: Training and test cases.
        readings: Every choice of the method, including the recipe's defaults.
    """

    name: str
    digest: str
    recipe: Mapping[str, Any]
    source: Mapping[str, Any]
    fold: Fold
    readings: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """The plan of a table.

    Attributes:
        table: The paper's table.
        choices: The options.
        place: Place of the data.
        everything: All cases.
        split: The split file.
        folds: Folds that are run.
        rows: Trainings of each row that is made, by its name.
        masks: Folders of other software's masks, by row.
        faults: Why rows cannot be trained here, by their name.
    """

    table: Table
    choices: Choices
    place: DataPlace
    everything: CountedCases
    split: Path
    folds: tuple[Fold, ...]
    rows: Mapping[str, tuple[PlannedTraining, ...]]
    masks: Mapping[str, Path]
    faults: Mapping[str, str] = field(default_factory=dict)

    @property
    def trainings(self) -> tuple[PlannedTraining, ...]:
        """Every training once, in the order of the rows."""
        found = {training.name: training for trainings in self.rows.values() for training in trainings}
        return tuple(found.values())

    @property
    def is_the_papers_data(self) -> bool:
        """Whether the data have the layout of the paper's download; a store may hold anything."""
        return self.place.reading.layout in self.table.data.layouts

    def needed(self, training: PlannedTraining) -> frozenset[CaseQuantity]:
        """Return the numbers of stage 1 that the rows of a training show."""
        found: set[CaseQuantity] = set()
        for name, trainings in self.rows.items():
            if training not in trainings:
                continue
            row = self.table.row(name)
            for column in (*self.table.columns, *self.table.beside):
                quantity = row.averaged(column)
                found |= {one for one in CASE_QUANTITIES if one == quantity}
        return frozenset(found)


def make_plan(table: Table, place: DataPlace, everything: CountedCases, *, split: Path, choices: Choices) -> Plan:
    """Plan the trainings of every row; a row whose recipe cannot be used is recorded, and the others are planned.

    Args:
        table: Table of a paper.
        place: Place of the data.
        everything: All cases, counted.
        split: The split file.
        choices: The options.

    Raises:
        DataError: A row is unknown or only quoted, or the split has no such fold.
    """
    masks = dict(choices.masks or {})
    rows = _chosen(table, choices.rows, masks)
    folds = folds_of(split, everything, choices.folds)
    found: dict[str, tuple[PlannedTraining, ...]] = {}
    known: dict[str, PlannedTraining] = {}
    faults: dict[str, str] = {}
    for row in rows:
        mine = [fold for fold in folds if row.fold is None or fold.number is None or fold.number == row.fold]
        try:
            trainings = [
                _training(table, row, fold, place, everything.name, split=split, choices=choices) for fold in mine
            ]
        except RecipeError as error:
            faults[row.name] = str(error)
            continue
        found[row.name] = tuple(known.setdefault(one.digest, one) for one in trainings)
    made = {name: trainings for name, trainings in found.items() if trainings}
    return Plan(table, choices, place, everything, split, folds, made, masks, faults)


def _chosen(table: Table, names: Iterable[str], masks: Mapping[str, Path]) -> list[PublishedRow]:
    known = {row.name: row for row in table.rows}
    for name in (*names, *masks):
        if name not in known:
            raise DataError(f"{name}: no row of this table; known are {', '.join(known)}.")
    quoted = [name for name in names if known[name].make is None and name not in masks]
    if quoted:
        raise DataError(f"{quoted[0]}: is only quoted, for {known[quoted[0]].quoted}.")
    wanted = set(names) or set(known)
    return [row for row in table.rows if row.name in wanted and row.make is not None and row.name not in masks]


def _training(
    table: Table, row: PublishedRow, fold: Fold, place: DataPlace, data: str, *, split: Path, choices: Choices
) -> PlannedTraining:
    regions = place.reading.layout is Layout.REGION_FOLDER
    recipe = row_recipe(table, row, scale=choices.scale, regions=regions, seed=choices.seed, epochs=choices.epochs)
    source = place.source(split=split, fold=fold.number, keep=table.data.keep)
    settings = checked(recipe, source, row=row.name)
    digest = recipe_digest(recipe, data=data, split=content_digest(split), fold=fold.number, keep=table.data.keep)
    slug = _slug(settings.cascade.model_dump(mode="json"))
    part = "" if fold.number is None else f"-fold{fold.number}"
    return PlannedTraining(
        f"{slug}-{digest}{part}", digest, recipe, source, fold, settings.cascade.model_dump(mode="json")
    )


def _slug(cascade: Mapping[str, Any]) -> str:
    """Return kind and network of a cascade as a part of a folder's name."""
    network = cascade.get("network") or cascade.get("second") or {}
    name = network.get("options", {}).get("net") or network.get("name", "")
    return re.sub(r"[^a-z0-9]+", "-", f"{cascade['kind']} {name}".lower()).strip("-")
