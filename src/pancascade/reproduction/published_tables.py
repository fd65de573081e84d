"""The papers' tables as printed, with their place in the paper, and how each row can be made here."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from pancascade.data.readers import Layout
from pancascade.data.splits.split_designs import DESIGNS
from pancascade.evaluation import PROTOCOLS
from pancascade.reproduction.published_numbers import CaseQuantity, Column, Printed, Quantity, parse_printed
from pancascade.settings import Settings

Scale = Literal["paper", "small"]
SCALES: tuple[Scale, ...] = ("paper", "small")


class ScaleSettings(Settings):
    """Training of a table's rows at one scale.

    Attributes:
        recipe: Name of a shipped recipe.
        says: Description in words.
        changes: Values that replace settings of the recipe, by their place, such as ``cascade.handover``.
        on_regions: Further changes for data that are cropped to the pancreas.
    """

    recipe: str
    says: str
    changes: dict[str, Any] = Field(default_factory=dict)
    on_regions: dict[str, Any] = Field(default_factory=dict)


class ScaleChanges(Settings):
    """Changes of a row at one scale, applied after its changes for both."""

    recipe: str | None = None
    changes: dict[str, Any] = Field(default_factory=dict)


class Making(Settings):
    """How a row is made here.

    Attributes:
        note: Description in words.
        recipe: Recipe in place of the table's.
        changes: Changes by their place in the recipe, after the table's.
        paper: Changes at the paper's scale.
        small: Changes at our scale for ordinary computers.
    """

    note: str
    recipe: str | None = None
    changes: dict[str, Any] = Field(default_factory=dict)
    paper: ScaleChanges = ScaleChanges()
    small: ScaleChanges = ScaleChanges()

    def at(self, scale: Scale) -> ScaleChanges:
        """Return the changes at a scale."""
        return self.paper if scale == "paper" else self.small


class PublishedRow(Settings):
    """One row of a table.

    Attributes:
        name: As printed.
        reference: Number of the citation in the paper.
        values: As printed, one for each column; ``-`` for none, two numbers for mean and standard deviation. None for a
            variant of the row `reading_of`, whose values stand for both.
        reading_of: Name of a row of which this is a variant.
        make: How it is made here; None for rows that are only quoted.
        quoted: Why it cannot be made here.
        fold: The only fold of the row; None for all folds of the table.
        quantity: Averaged quantity of this row in place of Dice.
        remark: Remark on the published row.
    """

    name: str
    reference: int | None = None
    values: tuple[str, ...] | None = None
    reading_of: str | None = None
    make: Making | None = None
    quoted: str = ""
    fold: int | None = Field(default=None, ge=0)
    quantity: CaseQuantity | None = None
    remark: str = ""

    @model_validator(mode="after")
    def _is_either_made_or_quoted(self) -> Self:
        if (self.make is None) == (not self.quoted):
            raise ValueError(f"row {self.name}: needs either make or quoted, the reason why it is not made")
        if (self.values is None) == (self.reading_of is None):
            raise ValueError(f"row {self.name}: needs either values or reading_of")
        for value in self.values or ():
            parse_printed(value)
        return self

    def averaged(self, column: Column) -> Quantity:
        """Return the quantity that a column averages in this row."""
        return self.quantity if column.quantity == "dice" and self.quantity is not None else column.quantity


class Data(Settings):
    """Data of a table, as described in its paper.

    Attributes:
        name: Name of the data set.
        layouts: Layouts of its download; other data may be used, and the table says so.
        design: Design of the split; see `pancascade data split`.
        keep: Slices used for training and evaluation.
        place: Place in the paper.
        cases: Number of scans, for ``all``, ``train`` and ``test``.
        slices: Number of kept slices, likewise.
        remark: Points that the paper leaves open.
    """

    name: str
    layouts: tuple[Layout, ...]
    design: str
    keep: Literal["all", "pancreas", "tumour"]
    place: str
    cases: dict[Literal["all", "train", "test"], int]
    slices: dict[Literal["all", "train", "test"], int] = Field(default_factory=dict)
    remark: str = ""

    @model_validator(mode="after")
    def _design_is_known(self) -> Self:
        if self.design not in DESIGNS:
            raise ValueError(f"design {self.design} is unknown; known: {', '.join(DESIGNS)}")
        return self


class Table(Settings):
    """One table, or figure, of a paper.

    Attributes:
        caption: As printed.
        place: Place in the paper.
        remark: Remark on the table.
        transposed: Whether it is printed with one method a column.
        data: Its data.
        protocol: Protocol of the evaluation; see `pancascade evaluate`.
        target: Segmented target.
        mean_over: What its means are over, in words.
        columns: Columns in printed order.
        beside: Further columns of ours, without published numbers.
        scales: Training of its rows at each scale.
        rows: Rows in printed order.
        comparisons: Pairs of rows whose difference is tested, planned before any training.
    """

    caption: str
    place: str
    remark: str = ""
    transposed: bool = False
    data: Data
    protocol: str
    target: Literal["pancreas", "tumour"]
    mean_over: str
    columns: tuple[Column, ...] = Field(min_length=1)
    beside: tuple[Column, ...] = ()
    scales: dict[Scale, ScaleSettings]
    rows: tuple[PublishedRow, ...] = Field(min_length=1)
    comparisons: tuple[tuple[str, str], ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [row.name for row in self.rows]
        wrong = [row.name for row in self.rows if row.values is not None and len(row.values) != len(self.columns)]
        strange = {name for pair in self.comparisons for name in pair} - set(names)
        strange |= {row.reading_of for row in self.rows if row.reading_of is not None} - set(names)
        if wrong:
            raise ValueError(f"row {wrong[0]}: needs one value a column, {len(self.columns)}")
        if strange or len(set(names)) != len(names):
            raise ValueError(f"rows are named once each, and {', '.join(sorted(strange)) or 'one'} is not")
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"protocol {self.protocol} is unknown; known: {', '.join(PROTOCOLS)}")
        if set(self.scales) != set(SCALES):
            raise ValueError(f"scales: needs {' and '.join(SCALES)}")
        return self

    def row(self, name: str) -> PublishedRow:
        """Return the row of an existing name."""
        return next(row for row in self.rows if row.name == name)

    def printed(self, row: PublishedRow) -> tuple[Printed, ...]:
        """Return the published values of a row, one for each column; of a variant those of its row."""
        values = row.values if row.values is not None else self.row(str(row.reading_of)).values
        return tuple(parse_printed(value) for value in values or ())


class Paper(Settings):
    """A paper's tables.

    Attributes:
        paper: Short name.
        title: Title of the paper.
        citation: Where it was published.
        tables: Tables by the number for ``pancascade reproduce``.
    """

    paper: str
    title: str
    citation: str
    tables: dict[Annotated[str, Field(pattern=r"^[a-z0-9]+$")], Table]
