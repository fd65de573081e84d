"""A table made here beside the published one: values, intervals, differences, planned tests."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pancascade.evaluation import Protocol, Statistic, summarise
from pancascade.evaluation.comparison import headline_values
from pancascade.evaluation.statistic import statistic_of
from pancascade.metrics import PairedComparison, compare_pair, holm
from pancascade.reproduction.measured import Measured
from pancascade.reproduction.published_numbers import Column, Printed
from pancascade.reproduction.published_tables import PublishedRow, Table

OVERLAP = ("dice", "sensitivity", "specificity", "precision")


@dataclass(frozen=True)
class Cell:
    """One number of a table, in the column's unit.

    Attributes:
        column: Its column.
        published: As printed; NaN where nothing is.
        ours: Our value; NaN where the row was not made.
        low: Lower end of the 95 % interval over patients; NaN where there is none.
        high: Upper end.
        sd: Standard deviation of the values, if the column prints one.
        count: Number of slices or scans of our value.
        left_out: Number of these without a value under the protocol.
    """

    column: Column
    published: Printed
    ours: float = math.nan
    low: float = math.nan
    high: float = math.nan
    sd: float | None = None
    count: int = 0
    left_out: int = 0

    @property
    def difference(self) -> float:
        """Ours − published."""
        return self.ours - self.published.mean


@dataclass(frozen=True)
class MadeRow:
    """A row with our results.

    Attributes:
        row: Row of the published table.
        cells: One for each column, then for the columns beside.
        measured: Results of each fold; empty if the row was not made.
        folds: Numbers of those folds.
    """

    row: PublishedRow
    cells: tuple[Cell, ...]
    measured: tuple[Measured, ...]
    folds: tuple[int | None, ...] = ()

    @property
    def made(self) -> bool:
        """Whether there are numbers of ours."""
        return bool(self.measured)


def make_row(
    table: Table,
    row: PublishedRow,
    measured: Sequence[Measured],
    *,
    protocol: Protocol,
    folds: Sequence[int | None] = (),
) -> MadeRow:
    """Compute the cells of a row.

    Args:
        table: The table.
        row: One of its rows.
        measured: Results of each fold that was run; empty for a row that was not made.
        protocol: Rules for empty masks, and the bootstrap.
        folds: Numbers of the folds.
    """
    columns = (*table.columns, *table.beside)
    printed = (*table.printed(row), *(Printed(math.nan) for _ in table.beside))
    records = [record for one in measured for record in one.records]
    summary = summarise(records, protocol, targets=[table.target])[table.target] if records else {}
    overlap = summary.get(protocol.headline, {})
    cells = []
    for column, value in zip(columns, printed, strict=True):
        empty = Cell(column, value)
        quantity = row.averaged(column)
        if quantity == "first_parameters":
            known = [one.first_parameters for one in measured if one.first_parameters is not None]
            cells.append(replace(empty, ours=known[0], count=len(known)) if known else empty)
        elif quantity in OVERLAP:
            statistic = overlap.get(quantity)
            cells.append(empty if statistic is None else _cell(empty, statistic))
        else:
            values = [v for one in measured for key, found in one.values.items() if key == quantity for v in found]
            statistic = statistic_of(
                [one.value for one in values],
                [one.patient for one in values],
                resamples=protocol.resamples,
                seed=protocol.seed,
            )
            cells.append(_cell(empty, statistic) if values else empty)
    return MadeRow(row, tuple(cells), tuple(measured), tuple(folds))


def planned_tests(table: Table, rows: Sequence[MadeRow], *, protocol: Protocol) -> list[PairedComparison]:
    """Test the table's planned comparisons of Dice between rows that were made, Holm-adjusted over these.

    Args:
        table: Table with its comparisons.
        rows: All rows.
        protocol: Settings of the bootstrap, and the definition of a scan's value.
    """
    values = {made.row.name: case_values_of(table, made, protocol=protocol) for made in rows if made.made}
    found = []
    for first, second in table.comparisons:
        if first not in values or second not in values:
            continue
        both = sorted(values[first].keys() & values[second].keys())
        if both:
            found.append(
                compare_pair(
                    [values[first][case][1] for case in both],
                    [values[second][case][1] for case in both],
                    patients=[values[first][case][0] for case in both],
                    names=(first, second),
                    resamples=protocol.resamples,
                    seed=protocol.seed,
                )
            )
    adjusted = holm([one.wilcoxon_p for one in found])
    return [replace(one, holm_p=p) for one, p in zip(found, adjusted, strict=True)]


def case_values_of(table: Table, made: MadeRow, *, protocol: Protocol) -> dict[str, tuple[str, float]]:
    """Return patient and Dice of each case; the mean over a scan's slices if the protocol counts slices.

    Args:
        table: The table.
        made: A row that was made.
        protocol: Definition of a scan's value.
    """
    if made.row.quantity is not None:
        values = [value for one in made.measured for value in one.values.get(made.row.quantity, ())]
        return {value.case: (value.patient, value.value) for value in values}
    return {
        record.case: (record.patient, headline_values(record, table.target, protocol)["dice"])
        for one in made.measured
        for record in one.records
    }


def _cell(empty: Cell, found: Statistic) -> Cell:
    factor, kind = empty.column.factor, empty.column.statistic
    counted = replace(empty, count=found.count, left_out=found.left_out)
    if kind in ("maximum", "minimum"):
        value = found.maximum if kind == "maximum" else found.minimum
        return replace(counted, ours=math.nan if value is None else factor * value)
    sd = factor * found.sd if kind == "mean_sd" and found.sd is not None else None
    return replace(counted, ours=factor * found.mean, low=factor * found.low, high=factor * found.high, sd=sd)


def protocol_of(table: Table, protocols: Mapping[str, Protocol]) -> Protocol:
    """Return the table's protocol for its own target; all other labels are background."""
    known = protocols[table.protocol]
    return known.model_copy(update={"labels": {table.target: known.labels[table.target]}, "other_labels": "background"})
