"""``fingerprint.html``: the statistics of a data set, in one file that loads nothing."""

import csv
import math
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment

from pancascade.data.describing.case_fingerprint import CaseFingerprint, Tissue
from pancascade.data.describing.case_groups import CaseGroup
from pancascade.data.describing.case_quantities import BY_KEY, QUANTITIES
from pancascade.data.describing.fingerprint import Fingerprint
from pancascade.files.atomic import written_together
from pancascade.report.data_sets.fingerprint_figures import (
    Curve,
    Values,
    draw_contrast,
    draw_hounsfield,
    draw_lesions,
    draw_places,
    draw_spreads,
)
from pancascade.report.figures import embed
from pancascade.report.page_environment import page_environment

FILES = ("fingerprint.json", "cases.csv", "fingerprint.html")
"""All files of a fingerprint."""

_TISSUE_COLOURS = {Tissue.SCAN: "#8a9aa9", Tissue.PARENCHYMA: "#009e73", Tissue.TUMOUR: "#d55e00"}
_GRID_PANELS = ("column_spacing_mm", "slice_distance_mm", "slice_thickness_mm", "slices", "width_mm", "length_mm")
_ORGAN_PANELS = ("pancreas_ml", "tumour_ml", "slices_with_pancreas", "slices_with_tumour")
_BOX_PANELS = ("box_width_mm", "box_depth_mm", "box_length_mm", "slice_box_width_mm", "slice_box_depth_mm")
_PICTURE_PANELS = ("slice_box_columns", "slice_box_rows")

CASE_COLUMNS = ("case", "patient", "source", "orientation")
"""First columns of cases.csv; the quantities follow."""


class Panels(NamedTuple):
    """Histograms of quantities that differ between the cases, and text on quantities that do not."""

    image: str | None
    constant: tuple[str, ...]


def write_fingerprint(found: Fingerprint, out: Path, *, name: str) -> None:
    """Write a fingerprint as JSON, as a table of its cases, and as a page; all files or none.

    Args:
        found: The fingerprint.
        out: Folder; made if it is missing.
        name: Name of the data set.

    Raises:
        OutputError: The folder cannot be written.
    """
    page = _environment().get_template("fingerprint.html").render(_context(found, name))
    with written_together(out, names=FILES) as draft:
        (draft / FILES[0]).write_text(found.model_dump_json(indent=1), encoding="utf-8")
        with (draft / FILES[1]).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([*CASE_COLUMNS, *BY_KEY])
            writer.writerows(_row(case) for case in found.cases)
        (draft / FILES[2]).write_text(page, encoding="utf-8")


def number(value: float | None, *, digits: int = 3) -> str:
    """Return a number with three significant digits, without exponent; a dash for None and NaN."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0 or value == round(value):
        return f"{value:.0f}".replace("-", "−")
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(decimals, 3)}f}".replace("-", "−")


def _row(case: CaseFingerprint) -> list[Any]:
    values = [quantity.of(case) for quantity in BY_KEY.values()]
    spelled = ["" if value is None else f"{value:.6g}" for value in values]
    return [case.case, case.patient, case.source, case.orientation or "", *spelled]


def _environment() -> Environment:
    environment = page_environment()
    environment.filters |= {"number": number}
    environment.globals |= {"QUANTITIES": QUANTITIES, "BY_KEY": BY_KEY}
    return environment


def _context(found: Fingerprint, name: str) -> dict[str, Any]:
    """Return all values that the template needs, by name."""
    whole, parts = found.groups[0], found.groups[1:]
    shown = parts or (whole,)
    by_part = {group.name: [case for case in found.cases if case.case in group.names] for group in shown}
    return {
        "name": name,
        "found": found,
        "whole": whole,
        "groups": found.groups,
        "spacing": _panels(by_part, _GRID_PANELS),
        "volumes": _panels(by_part, _ORGAN_PANELS),
        "boxes": _panels(by_part, _BOX_PANELS if "box_width_mm" in whole.spreads else _PICTURE_PANELS),
        "hounsfield": _hounsfield(whole),
        "lesions": _lesions(by_part, shown),
        "places": _places(found.cases),
        "contrast": _contrast(found.cases),
        "now": datetime.now().astimezone(),
        "version": version("pancascade"),
    }


def _panels(by_part: dict[str, list[CaseFingerprint]], keys: Sequence[str]) -> Panels:
    panels: dict[str, Values] = {}
    constant = []
    for key in keys:
        quantity = BY_KEY[key]
        values = {
            part: [value for case in cases if (value := quantity.of(case)) is not None]
            for part, cases in by_part.items()
        }
        different = {value for found in values.values() for value in found}
        if len(different) > 1:
            panels[quantity.heading] = values
        elif different:
            constant.append(f"{quantity.title} {number(different.pop())} {quantity.unit}".rstrip())
    return Panels(embed(draw_spreads(panels)) if panels else None, tuple(constant))


def _hounsfield(whole: CaseGroup) -> str:
    curves = {
        str(tissue): Curve(whole.hu[tissue].first_hu, whole.hu[tissue].counts, colour)
        for tissue, colour in _TISSUE_COLOURS.items()
        if tissue in whole.hu
    }
    windows = [suggestion.numbers for suggestion in whole.suggestions if suggestion.what == "window"]
    return embed(draw_hounsfield(curves, window=(windows[0][0], windows[0][1]) if windows else None))


def _lesions(by_part: dict[str, list[CaseFingerprint]], shown: Sequence[CaseGroup]) -> str | None:
    diameters_mm = {
        part: [lesion.diameter_mm for case in cases for lesion in case.lesions or ()] for part, cases in by_part.items()
    }
    if not any(diameters_mm.values()):
        return None
    return embed(draw_lesions(diameters_mm, {group.name: group.lesions for group in shown if group.lesions}))


def _places(cases: Sequence[CaseFingerprint]) -> str | None:
    in_body = any(case.centre_in_body for case in cases)
    keys = ("body_x_percent", "body_y_percent") if in_body else ("image_x_percent", "image_y_percent")
    places = [tuple(BY_KEY[key].of(case) for key in (*keys, "scan_z_percent")) for case in cases]
    known = [(x, y, math.nan if z is None else z) for x, y, z in places if x is not None and y is not None]
    return embed(draw_places(known, frame="body" if in_body else "image")) if known else None


def _contrast(cases: Sequence[CaseFingerprint]) -> str | None:
    pairs = [
        (case.hu[Tissue.PARENCHYMA].mean_hu, case.hu[Tissue.TUMOUR].mean_hu)
        for case in cases
        if {Tissue.PARENCHYMA, Tissue.TUMOUR} <= case.hu.keys()
    ]
    return embed(draw_contrast(pairs)) if pairs else None
