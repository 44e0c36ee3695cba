"""The report of one or several runs: one HTML page that needs nothing else; the figures that look into their models."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .evidence import ReportOptions as ReportOptions
    from .figures.adapter_gradcam import explain_adapter as explain_adapter, explain_model as explain_model
    from .figures.alignment import prompt_similarity as prompt_similarity
    from .figures.runs import open_adapter_runs as open_adapter_runs
    from .page.page import Report as Report, write_report as write_report
    from .saliency.gradcam import gradcam as gradcam

__all__, __getattr__, __dir__ = lazy_names(__name__)
