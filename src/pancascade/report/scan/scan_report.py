"""``report.html`` of one scan: warnings, key images, lesions, decisions, model card; one file that loads nothing."""

from pathlib import Path

from pancascade.imaging.volume import Volume
from pancascade.messages.names_only import public_name
from pancascade.report.page_environment import spell_time, write_page
from pancascade.report.scan.report_sections import ReportedScan, render_sections
from pancascade.report.scan.slice_viewer import viewer_script
from pancascade.results.result import Result


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
        "sections": render_sections(ReportedScan(scan, mask, result, model_card)),
    }
    write_page(path, "scan_report.html", context)
