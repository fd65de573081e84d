"""What the numbers of a table are: columns, what is averaged in them, and how they are printed."""

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
"""One number a scan or slice, of stage 1 or of the boxes that it hands over."""

CASE_QUANTITIES: tuple[CaseQuantity, ...] = get_args(CaseQuantity)

Quantity = OverlapQuantity | CaseQuantity | Literal["first_parameters"]

NONE = "-"
"""How a table prints that it has no number."""

SAME_NUMBER = 0.5e-4
"""Half of the last digit of what is printed with four."""


class Printed(NamedTuple):
    """A number as it was printed, in the table's own unit.

    Attributes:
        mean: NaN where nothing is printed.
        sd: The second of two numbers; None where there is one.
    """

    mean: float
    sd: float | None = None


class Column(Settings):
    """One column of a table.

    Attributes:
        name: As printed; where the print has two levels of headings, both.
        unit: Of its numbers.
        quantity: What is averaged.
        statistic: Which number of it.
    """

    name: str
    unit: Unit
    quantity: Quantity
    statistic: Statistic = "mean"

    @property
    def factor(self) -> float:
        """By which a share of 1 becomes the column's unit."""
        return 100.0 if self.unit == "percent" else 1.0

    @property
    def digits(self) -> int:
        """Printed after the point."""
        return 4 if self.unit == "fraction" else 2


def parse_printed(text: str) -> Printed:
    """A number as a table prints it: ``0.4913``, ``82.18 5.28`` for mean and standard deviation, ``-`` for none.

    Raises:
        ValueError: It does not read like that.
    """
    if text == NONE:
        return Printed(math.nan)
    parts = text.split()
    if not 1 <= len(parts) <= 2 or not all(part.replace(".", "", 1).isdecimal() for part in parts):
        raise ValueError(f"value {text!r} is no number as tables print it")
    return Printed(float(parts[0]), float(parts[1]) if len(parts) > 1 else None)
