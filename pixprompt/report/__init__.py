"""The report of one or several runs: one HTML page that needs nothing else."""

from .evidence import ReportOptions
from .page.page import Report, write_report

__all__ = ["Report", "ReportOptions", "write_report"]
