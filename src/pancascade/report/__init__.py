"""Write results as pages, pictures and documents."""

from pancascade.report.scan.overview import write_overview
from pancascade.report.scan.scan_report import write_scan_report

__all__ = ["write_overview", "write_scan_report"]
