"""Results for people and machines."""

from pancascade.report.measurements import measure
from pancascade.report.overview import write_overview
from pancascade.report.result import write_result

__all__ = ["measure", "write_overview", "write_result"]
