"""``report.html`` of one scan: warnings, key images, lesions, decisions, model card; one file that loads nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pancascade.files.atomic import written_whole
from pancascade.imaging.volume import Volume
from pancascade.labels import COLOURS, Label
from pancascade.messages.names_only import public_name
from pancascade.messages.notices import Notice
from pancascade.report.page_environment import page_environment
from pancascade.report.scan.key_images import draw_key_images
from pancascade.report.scan.model_card import render_card
from pancascade.report.scan.slice_viewer import draw_slices, viewer_script
from pancascade.results.measurements import Lesion, VesselContact
from pancascade.results.result import Result

LEVELS = {
    "usual": "found in the usual region",
    "wider": "found only as a candidate below probability ½, in a widened region",
    "whole_scan": "found only in the whole scan at low resolution (by an older version)",
}
SUBJECTS = {"input": "the scan", "location": "the location", "result": "the result"}


def write_scan_report(path: Path, *, scan: Volume, mask: Volume, result: Result, model_card: str) -> None:
    """Write the report of one scan.

    Patient and study are named only if `result.identifiers` is set; the scan's folder never is.

    Args:
        path: HTML file to write.
        scan: Hounsfield units, any orientation.
        mask: Labels on the same grid, ids of `Label`.
        result: The scan's result.
        model_card: Markdown text.

    Raises:
        GeometryError: The mask has another shape than the scan.
        OutputError: The path cannot be written.
    """
    script, script_hash = viewer_script()
    context = {
        "script": script,
        "script_hash": script_hash,
        "result": result,
        "name": public_name(result.scan),
        "created": spell_time(result.created),
        "viewer": draw_slices(scan, mask),
        "images": draw_key_images(scan, mask, result.pancreas_and_lesions),
        "colours": {label.title: COLOURS[label] for label in COLOURS},
        "warnings": warnings_of(result),
        "organ_ml": organ_ml(result),
        "tumour_ml": tumour_ml(result),
        "spacing_mm": scan.spacing_mm,
        "orientation": scan.orientation,
        "card": render_card(model_card),
        "levels": LEVELS,
        "subjects": SUBJECTS,
        "spell_vessel": spell_vessel,
        "slice_of": {lesion.number: slice_from_feet(lesion, scan) for lesion in result.pancreas_and_lesions.lesions},
    }
    write_page(path, "scan_report.html", context)


def write_page(path: Path, template: str, context: dict[str, Any]) -> None:
    """Render a template to a file, whole or not at all.

    Args:
        path: HTML file to write.
        template: Name of the template.
        context: Values for the template; all are escaped.

    Raises:
        OutputError: The path cannot be written.
    """
    environment = page_environment()
    environment.filters["number"] = spell_number
    page = environment.get_template(template).render(context)
    with written_whole(path) as temporary:
        # File names need not be UTF-8; characters that cannot be written become question marks.
        temporary.write_text(page, encoding="utf-8", errors="replace")


def spell_number(value: float | int | None, digits: int = 1) -> str:
    """Return a number with this many decimals and a true minus sign; a dash for None."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    negative = text.startswith("-") and any(digit in "123456789" for digit in text)
    return ("−" if negative else "") + text.lstrip("-")


def spell_time(created: str) -> str:
    """Return a time in UTC to the minute; text that is no time is returned unchanged."""
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return created
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return f"{moment:%Y-%m-%d %H:%M} UTC"


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


def warnings_of(result: Result) -> Sequence[Notice | str]:
    """Return all warnings: notices, then sentences that are in no notice."""
    notices = [notice for notice in result.notices if notice.severity == "warning"]
    reported = {notice.sentence for notice in result.notices}
    return [*notices, *(sentence for sentence in result.warnings if sentence not in reported)]


def organ_ml(result: Result) -> float:
    """Return the volume of the pancreas with its tumours."""
    organ = result.pancreas_and_lesions.organ
    return organ.volume_ml if organ is not None else _volume(result, "pancreas_with_tumour")


def tumour_ml(result: Result) -> float:
    """Return the volume of all that is marked as tumour."""
    if Label.TUMOUR.title in result.measurements:
        return _volume(result, Label.TUMOUR.title)
    return sum(lesion.volume_ml for lesion in result.pancreas_and_lesions.lesions)


def _volume(result: Result, name: str) -> float:
    volume = result.measurements.get(name, {}).get("volume_ml", 0.0)
    return float(volume) if isinstance(volume, int | float) and abs(volume) < 1e9 else 0.0
