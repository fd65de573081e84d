"""Results for people and machines."""

from pancascade.report.overview import write_overview
from pancascade.report.result import Result, read_result, write_result
from pancascade.report.scan_report import write_scan_report

__all__ = ["Result", "read_result", "write_overview", "write_result", "write_scan_report"]
