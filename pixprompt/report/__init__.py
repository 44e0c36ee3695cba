"""The report of one or several runs: one HTML page that needs nothing else."""

from .evidence import Options
from .page.page import Report, write_report

__all__ = ["Options", "Report", "write_report"]
