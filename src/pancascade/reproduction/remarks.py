"""Remarks on published numbers that follow from arithmetic."""

from pancascade.reproduction.published_numbers import SAME_NUMBER
from pancascade.reproduction.published_tables import PublishedRow, Table


def most_dice(sensitivity: float) -> float:
    """Return the largest mean Dice that test images with this mean sensitivity can have: 2S / (1 + S).

    In one image, or pooled, Dice = 2TP / (2TP + FP + FN) is at most 2TP / (2TP + FN) = 2s / (1 + s), reached without
    false positives. This is concave in s, so the mean over images is at most its value at the mean (Jensen).

    Args:
        sensitivity: Mean sensitivity in [0, 1].
    """
    return 2 * sensitivity / (1 + sensitivity)


def impossible_dice(table: Table, row: PublishedRow) -> str:
    """Return a remark on a row whose Dice is larger than its sensitivity allows; else an empty text.

    Printed numbers are rounded, so half of the last digit is allowed for both.

    Args:
        table: The table.
        row: One of its rows.
    """
    found = {
        column.quantity: value.mean / column.factor
        for column, value in zip(table.columns, table.printed(row), strict=True)
        if column.statistic in ("mean", "mean_sd")
    }
    dice, sensitivity = found.get("dice"), found.get("sensitivity")
    if dice is None or sensitivity is None:
        return ""
    bound = most_dice(sensitivity + SAME_NUMBER)
    if not dice - SAME_NUMBER > bound:
        return ""
    return (
        f"A mean sensitivity S of {sensitivity:.4f} allows a mean Dice of at most 2S / (1 + S) = "
        f"{most_dice(sensitivity):.4f}, but {dice:.4f} is printed: the two are not of the same test images."
    )


def remarks_on(table: Table, row: PublishedRow) -> tuple[str, ...]:
    """Return all remarks on a row's published numbers, one or more sentences each."""
    return tuple(remark for remark in (row.remark, impossible_dice(table, row)) if remark)
