"""The table as text and as a document: published value, our value with its interval, and their difference."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from pancascade.evaluation import Protocol
from pancascade.evaluation.tables import p_value
from pancascade.evaluation.text_table import TextTable
from pancascade.files.digests import content_digest
from pancascade.metrics import PairedComparison
from pancascade.reproduction.plan import Plan
from pancascade.reproduction.published_tables import Paper
from pancascade.reproduction.remarks import remarks_on
from pancascade.reproduction.reproduced_table import Cell, MadeRow

DASH = "–"


@dataclass(frozen=True)
class ReproducedTable:
    """All contents of a reproduced table.

    Attributes:
        paper: The paper.
        number: Number of the table.
        plan: The plan.
        protocol: Protocol of the evaluation.
        rows: Rows in printed order.
        tests: Planned comparisons whose rows were made.
        counts: Cases and slices found beside the paper's: what, found, published.
        notes: Notes on split, data and scale; one or more sentences each.
        version: Version of pancascade.
        device: Device on which it was made.
    """

    paper: Paper
    number: str
    plan: Plan
    protocol: Protocol
    rows: tuple[MadeRow, ...]
    tests: tuple[PairedComparison, ...]
    counts: tuple[dict[str, str], ...]
    notes: tuple[str, ...]
    version: str
    device: str


def text_table(made: ReproducedTable) -> TextTable:
    """Return the table as text, with three columns for each published column."""
    table = made.plan.table
    columns = (*table.columns, *table.beside)
    header = ["Method"]
    for column in columns:
        unit = " [%]" if column.unit == "percent" else " [M]" if column.unit == "millions" else ""
        header += [f"{column.name}{unit}, published", "ours [95 %]", "difference"]
    rows: list[tuple[str, ...]] = []
    notes: list[str] = []
    for row in made.rows:
        remarks = [*remarks_on(table, row.row), *quoted_or_given(row)]
        mark = f" ({len(notes) + 1})" if remarks else ""
        if remarks:
            notes.append(f"({len(notes) + 1}) {row.row.name}: {' '.join(remarks)}")
        rows.append((row.row.name + mark, *(text for cell in row.cells for text in spell_cell(cell))))
    grey = frozenset(place for place, row in enumerate(made.rows) if not row.made)
    caption = f"{made.paper.citation}, {table.place}: {table.caption}. Mean over {table.mean_over}"
    reported = [*notes, *map(spell_test, made.tests), *([table.remark] if table.remark else []), *made.notes]
    return TextTable(caption, tuple(header), tuple(rows), grey=grey, notes=(*reported, made.protocol.sentence()))


def quoted_or_given(row: MadeRow) -> list[str]:
    """Return why a row is only quoted, or that its masks are other software's; nothing for rows made here."""
    if not row.row.quoted:
        return []
    return ["Our values are of other software's masks."] if row.made else [f"Quoted: {row.row.quoted}."]


def counts_table(made: ReproducedTable) -> TextTable:
    """Return cases and slices found, beside the paper's."""
    data = made.plan.table.data
    rows = tuple((row["what"], row["found"], row["published"]) for row in made.counts)
    caption = f"Data found in {made.plan.everything.name}, beside the paper's for {data.name} ({data.place})"
    return TextTable(caption, ("What", "found", "published"), rows, notes=(data.remark,) if data.remark else ())


def spell_cell(cell: Cell) -> tuple[str, str, str]:
    """Return published value, our value with its interval, and the difference, as printed."""
    digits = cell.column.digits
    published = spell_published(cell)
    if math.isnan(cell.ours):
        return published, DASH, DASH
    ours = f"{cell.ours:.{digits}f}"
    if cell.sd is not None:
        ours += f" ± {cell.sd:.{digits}f}"
    if not math.isnan(cell.low):
        ours += f" [{cell.low:.{digits}f}, {cell.high:.{digits}f}]"
    difference = DASH if math.isnan(cell.difference) else f"{cell.difference:+.{digits}f}".replace("-", "−")
    return published, ours, difference


def spell_published(cell: Cell) -> str:
    """Return a published value as printed, with ± between mean and standard deviation."""
    value, digits = cell.published, cell.column.digits
    if math.isnan(value.mean):
        return DASH
    text = f"{value.mean:.{digits}f}"
    return text if value.sd is None else f"{text} ± {value.sd:.{digits}f}"


def spell_test(test: PairedComparison) -> str:
    """Return a planned comparison as one line."""
    mean, low, high = test.mean_difference
    interval = "" if math.isnan(low) else f" [{low:+.4f}, {high:+.4f}]"
    cases = f"{test.pairs} cases of {test.patients} patients"
    dice = f"{mean:+.4f}{interval}".replace("-", "−")
    return f"Planned: {test.first} − {test.second}, Dice {dice} over {cases}, p {p_value(test.holm_p)} (Holm)."


def as_document(made: ReproducedTable) -> dict[str, Any]:
    """Return all of it for programs; shares are in the column's unit."""
    plan, table = made.plan, made.plan.table
    return {
        "use": "Research only. Not for clinical use.",
        "paper": made.paper.paper,
        "citation": made.paper.citation,
        "table": made.number,
        "place": table.place,
        "caption": table.caption,
        "protocol": made.protocol.sentence(),
        "mean_over": table.mean_over,
        "scale": plan.choices.scale,
        "scale_says": table.scales[plan.choices.scale].says,
        "seed": plan.choices.seed,
        "epochs": plan.choices.epochs,
        "data_set": plan.everything.name,
        "is_the_papers_data": plan.is_the_papers_data,
        "split_digest": content_digest(plan.split),
        "folds": [fold.number for fold in plan.folds],
        "counts": list(made.counts),
        "rows": [_row_document(made, row) for row in made.rows],
        "comparisons": [asdict(test) for test in made.tests],
        "notes": list(made.notes),
        "version": made.version,
        "device": made.device,
    }


def _row_document(made: ReproducedTable, row: MadeRow) -> dict[str, Any]:
    trainings = made.plan.rows.get(row.row.name, ())
    return {
        "name": row.row.name,
        "reference": row.row.reference,
        "made": row.made,
        "quoted": row.row.quoted,
        "how": row.row.make.note if row.row.make is not None else "",
        "remarks": list(remarks_on(made.plan.table, row.row)),
        "cells": [_cell_document(cell) for cell in row.cells],
        "trainings": [
            {
                "name": training.name,
                "recipe_digest": training.digest,
                "weights_digest": measured.weights,
                "fold": training.fold.number,
                "epochs": measured.epochs,
                "hours": round(measured.hours, 3),
                "test_cases": len(measured.records),
                "failed": len(measured.failed),
                "cascade": training.readings,
                "canvas": training.recipe["canvas"],
                "optimiser": training.recipe.get("optimiser"),
                "phases": training.recipe["phases"],
            }
            for training, measured in zip(trainings, row.measured, strict=False)
        ],
    }


def _cell_document(cell: Cell) -> dict[str, Any]:
    return {
        "column": cell.column.name,
        "unit": cell.column.unit,
        "statistic": cell.column.statistic,
        "published": cell.published.mean,
        "published_sd": cell.published.sd,
        "ours": cell.ours,
        "low": cell.low,
        "high": cell.high,
        "sd": cell.sd,
        "difference": cell.difference,
        "count": cell.count,
        "left_out": cell.left_out,
    }
