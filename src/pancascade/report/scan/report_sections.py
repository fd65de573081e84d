"""The sections of a scan's report, in their order: what the template of each shows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from pancascade.imaging.volume import Volume
from pancascade.labels import COLOURS
from pancascade.report.page_environment import report_environment
from pancascade.report.scan.key_images import draw_key_images
from pancascade.report.scan.model_card import render_card
from pancascade.report.scan.result_numbers import organ_ml, tumour_ml, warnings_of
from pancascade.report.scan.slice_viewer import draw_slices
from pancascade.results.measurements import Lesion, VesselContact
from pancascade.results.result import Result

LEVELS = {
    "usual": "found in the usual region",
    "wider": "found only as a candidate below probability ½, in a widened region",
    "whole_scan": "found only in the whole scan at low resolution (by an older version)",
}
SUBJECTS = {"input": "the scan", "location": "the location", "result": "the result"}


@dataclass(frozen=True, eq=False)
class ReportedScan:
    """What a report is about.

    Attributes:
        scan: (I, J, K) in HU, any orientation.
        mask: Labels on the same grid, ids of `Label`.
        result: The scan's result.
        model_card: Markdown text.
    """

    scan: Volume
    mask: Volume
    result: Result
    model_card: str


def _slices_of_lesions(one: ReportedScan) -> dict[int, int]:
    lesions = one.result.pancreas_and_lesions.lesions
    return {lesion.number: slice_from_feet(lesion, one.scan) for lesion in lesions}


SECTIONS: dict[str, Callable[[ReportedScan], dict[str, Any]]] = {
    "warnings": lambda one: {"warnings": warnings_of(one.result)},
    "summary": lambda one: {"levels": LEVELS},
    "images": lambda one: {"images": draw_key_images(one.scan, one.mask, one.result.pancreas_and_lesions)},
    "slices": lambda one: {"viewer": draw_slices(one.scan, one.mask)},
    "lesions": lambda one: {"spell_vessel": spell_vessel, "slice_of": _slices_of_lesions(one)},
    "pancreas": lambda one: {"tumour_ml": tumour_ml(one.result)},
    "decisions": lambda one: {"subjects": SUBJECTS},
    "how": lambda one: {"spacing_mm": one.scan.spacing_mm, "orientation": one.scan.orientation},
    "model": lambda one: {"card": render_card(one.model_card)},
}
"""What ``templates/scan_report/NAME.html`` shows beside what all of them may: ``result``, ``found`` (its measurements),
``lesions``, ``organ_ml`` and ``colours``."""


def render_sections(one: ReportedScan) -> list[Markup]:
    """HTML of every section.

    Args:
        one: What the report is about.

    Raises:
        GeometryError: The mask has another shape than the scan.
    """
    environment = report_environment()
    found = one.result.pancreas_and_lesions
    shared = {
        "result": one.result,
        "found": found,
        "lesions": found.lesions,
        "organ_ml": organ_ml(one.result),
        "colours": {label.title: COLOURS[label] for label in COLOURS},
    }
    return [
        Markup(environment.get_template(f"scan_report/{name}.html").render({**shared, **shown(one)}))
        for name, shown in SECTIONS.items()
    ]


def slice_from_feet(lesion: Lesion, scan: Volume) -> int:
    """Return the number of the axial slice in which a lesion was measured, from 1 at the feet, as in the pictures."""
    axis = next(axis for axis in range(3) if scan.orientation[axis] in "SI")
    stored = lesion.diameters.slice_index
    return stored + 1 if scan.orientation[axis] == "S" else scan.shape[axis] - stored


def spell_vessel(contact: VesselContact) -> str:
    """Describe in words how a lesion touches a vessel, or their distance."""
    if contact.contact_degrees > 0 or contact.distance_mm == 0:
        length = f" over {contact.contact_length_mm:.0f} mm" if contact.contact_length_mm > 0 else ""
        return f"{contact.vessel}: contact {contact.contact_degrees:.0f}°{length}"
    return f"{contact.vessel}: {contact.distance_mm:.1f} mm away"
