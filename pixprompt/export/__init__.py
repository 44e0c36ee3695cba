"""A prompt in forms that need no pixprompt: plain PNGs, arrays, ONNX, and tables in JSON. No torch import."""

from .export import FORMS, export_prompt

__all__ = ["FORMS", "export_prompt"]
