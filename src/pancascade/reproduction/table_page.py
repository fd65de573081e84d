"""``table.html``: the reproduced table as one page that loads nothing."""

import math
from typing import Any

import yaml

from pancascade.report.page_environment import page_environment
from pancascade.reproduction.plan import PlannedTraining
from pancascade.reproduction.published_numbers import Column
from pancascade.reproduction.remarks import remarks_on
from pancascade.reproduction.reproduced_table import Cell, MadeRow
from pancascade.reproduction.table_text import (
    DASH,
    ReproducedTable,
    as_document,
    quoted_or_given,
    spell_cell,
    spell_published,
    spell_test,
)

TEMPLATE = "reproduced_table.html"


def render_page(made: ReproducedTable) -> str:
    """Return the page: the table, the data, the planned tests, how each row was made."""
    environment = page_environment()
    environment.filters["spell_test"] = spell_test
    table = made.plan.table
    columns = (*table.columns, *table.beside)
    return environment.get_template(TEMPLATE).render(
        made=made,
        table=table,
        columns=columns,
        units=[_unit(column) for column in columns],
        rows=[_row(made, row) for row in made.rows],
        document=as_document(made),
        scale=table.scales[made.plan.choices.scale],
    )


def _unit(column: Column) -> str:
    return {"fraction": "", "percent": "%", "millions": "millions"}[column.unit]


def _row(made: ReproducedTable, row: MadeRow) -> dict[str, Any]:
    """Return what the template shows of a row."""
    trainings = made.plan.rows.get(row.row.name, ())
    return {
        "name": row.row.name,
        "made": row.made,
        "quoted": row.row.quoted,
        "how": row.row.make.note if row.row.make is not None else "",
        "remarks": [*remarks_on(made.plan.table, row.row), *quoted_or_given(row)],
        "cells": [_cell(cell) for cell in row.cells],
        "trainings": [
            {
                "name": training.name,
                "digest": training.digest,
                "weights": measured.weights[:12],
                "fold": DASH if training.fold.number is None else training.fold.number,
                "epochs": measured.epochs,
                "hours": f"{measured.hours:.2f}",
                "cases": len(measured.records),
                "failed": len(measured.failed),
                "recipe": _shown_recipe(training),
            }
            for training, measured in zip(trainings, row.measured, strict=False)
        ],
    }


def _shown_recipe(training: PlannedTraining) -> str:
    """Return every choice of the method, and the other settings of the training, without its data."""
    kept = {key: training.recipe[key] for key in ("canvas", "optimiser", "phases") if key in training.recipe}
    return yaml.safe_dump({"cascade": dict(training.readings), **kept}, sort_keys=False, allow_unicode=True)


def _cell(cell: Cell) -> dict[str, str]:
    _, ours, difference = spell_cell(cell)
    value, _, interval = ours.partition(" [")
    worse = not math.isnan(cell.difference) and cell.difference < 0
    return {
        "published": spell_published(cell),
        "ours": value,
        "interval": f"[{interval}" if interval else "",
        "difference": difference,
        "tone": "lower" if worse else "",
    }
