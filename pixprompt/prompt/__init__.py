"""Prompts as values and as PNG files that any image tool can open. No torch import."""

from .committee import Committee, Page, Pages
from .loading import load, load_committee
from .prompt import BLENDS, Prompt, pixel_delta
from .prompt_file import SCHEMA

__all__ = ["BLENDS", "SCHEMA", "Committee", "Page", "Pages", "Prompt", "load", "load_committee", "pixel_delta"]
