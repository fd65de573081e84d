"""Meaning of a table's numbers: columns, averaged quantities, and their printed form."""

import math
from typing import Literal, NamedTuple, get_args

from pancascade.settings import Settings

Unit = Literal["fraction", "percent", "millions"]
Statistic = Literal["mean", "mean_sd", "maximum", "minimum"]

OverlapQuantity = Literal["dice", "sensitivity", "specificity", "precision"]
CaseQuantity = Literal[
    "first_dice",
    "first_dice_reduced",
    "b1_recall",
    "b1_iou",
    "b2_recall",
    "b2_iou",
    "box_iou_test",
    "box_iou_training",
]
"""Quantities with one number for each scan or slice, of stage 1 or of its boxes."""

CASE_QUANTITIES: tuple[CaseQuantity, ...] = get_args(CaseQuantity)

Quantity = OverlapQuantity | CaseQuantity | Literal["first_parameters"]

NONE = "-"
"""Printed sign for a missing number."""

SAME_NUMBER = 0.5e-4
"""Half of the last digit of a number printed with four decimals."""


class Printed(NamedTuple):
    """A number as printed, in the table's own unit.

    Attributes:
        mean: The number; NaN where nothing is printed.
        sd: The second of two numbers; None where there is one.
    """

    mean: float
    sd: float | None = None


class Column(Settings):
    """One column of a table.

    Attributes:
        name: As printed; with two levels of headings, both.
        unit: Unit of its numbers.
        quantity: Quantity that is averaged.
        statistic: Statistic of the quantity.
    """

    name: str
    unit: Unit
    quantity: Quantity
    statistic: Statistic = "mean"

    @property
    def factor(self) -> float:
        """Factor from a share of 1 to the column's unit."""
        return 100.0 if self.unit == "percent" else 1.0

    @property
    def digits(self) -> int:
        """Number of printed decimals."""
        return 4 if self.unit == "fraction" else 2


def parse_printed(text: str) -> Printed:
    """Parse a number as printed: ``0.4913``, ``82.18 5.28`` for mean and standard deviation, ``-`` for none.

    Raises:
        ValueError: The text has another form.
    """
    if text == NONE:
        return Printed(math.nan)
    parts = text.split()
    if not 1 <= len(parts) <= 2 or not all(part.replace(".", "", 1).isdecimal() for part in parts):
        raise ValueError(f"value {text!r} is no number as tables print it")
    return Printed(float(parts[0]), float(parts[1]) if len(parts) > 1 else None)
