"""Adapt a vision model that you can only call: learn a visual prompt, save it as a PNG, put it on any image."""

from .prompt import Prompt, load

__all__ = ["Prompt", "__version__", "load"]
__version__ = "0.1.0"
