"""Write a follow-up as ``follow_up.html`` and as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path

from pancascade.files.atomic import written_whole
from pancascade.labels import COLOURS
from pancascade.report.follow_up.follow_up import Category, Change, FollowUp, LesionChange
from pancascade.report.follow_up.follow_up_pictures import PicturePair
from pancascade.report.follow_up.lesion_matching import Way
from pancascade.report.scan.scan_report import spell_number, spell_time, write_page

CATEGORIES: dict[Category, str] = {
    "increase": "an increase of at least 20 % and at least 5 mm, the threshold of progression",
    "decrease": "a decrease of at least 30 %, the threshold of partial response",
    "all_gone": "all target lesions are gone, a condition of complete response",
    "neither": "neither a decrease of at least 30 % nor an increase of at least 20 % and 5 mm",
    "undefined": "undefined, as the earlier date has no lesion of 10 mm or more",
}
"""Meaning of each category, by RECIST 1.1's thresholds."""

WAYS: dict[Way, str] = {
    "centre_line": "by position along and around the centre line of the pancreas",
    "organ_centre": "by position relative to the centre of the pancreas, as a date has no centre line",
    "scan": "by the scanner's coordinates, as a date has no pancreas: the pairs are not reliable",
}
"""How lesions were paired, in words."""


def write_follow_up(path: Path, found: FollowUp, *, pictures: Sequence[PicturePair] = ()) -> None:
    """Write the page of a follow-up.

    Args:
        path: HTML file to write.
        found: The comparison.
        pictures: Pictures of both dates, side by side.

    Raises:
        OutputError: The path cannot be written.
    """
    context = {
        "found": found,
        "pictures": pictures,
        "colours": {label.title: COLOURS[label] for label in COLOURS},
        "quantities": quantities(found),
        "category": CATEGORIES[found.category],
        "way": WAYS[found.matched_by],
        "created": [spell_time(moment) for moment in found.created],
        "spell_change": spell_change,
        "spell_percent": spell_percent,
        "spell_part": spell_part,
        "spell_sizes": spell_sizes,
        "any_new": any(lesion.fate == "new" for lesion in found.lesions),
    }
    write_page(path, "follow_up.html", context)


def write_follow_up_json(path: Path, found: FollowUp) -> None:
    """Write the comparison as JSON; differences and percentages are not included.

    Raises:
        OutputError: The path cannot be written.
    """
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(found.model_dump(mode="json"), indent=2) + "\n", encoding="utf-8")


def quantities(found: FollowUp) -> list[tuple[str, str, Change]]:
    """Return name, unit and change of each quantity of the whole scans."""
    return [
        ("pancreas with tumours", "mL", found.pancreas_ml),
        ("tumour", "mL", found.tumour_ml),
        ("long diameters of all lesions", "mm", found.sum_of_all_mm),
        ("long diameters of target lesions", "mm", found.sum_of_targets_mm),
    ]


def spell_change(change: Change) -> str:
    """Return the difference with its sign."""
    text = spell_number(change.difference)
    return f"+{text}" if change.difference > 0 and text.strip("0.") else text


def spell_percent(change: Change) -> str:
    """Return the difference in per cent with its sign; a dash if the earlier number is 0."""
    if change.percent is None:
        return "–"
    text = spell_number(change.percent)
    return f"{'+' if change.percent > 0 and text.strip('0.') else ''}{text} %"


def spell_part(lesion: LesionChange) -> str:
    """Return the part of the pancreas, or both parts if the dates differ."""
    parts = dict.fromkeys(part for part in (lesion.earlier_part, lesion.later_part) if part is not None)
    return " → ".join(parts) or "–"


def spell_sizes(long_mm: float, short_mm: float, *, marked: bool) -> str:
    """Return both diameters; a dash if the lesion is not marked."""
    return f"{spell_number(long_mm)} × {spell_number(short_mm)}" if marked else "–"
