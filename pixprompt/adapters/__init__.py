"""Adapters: what is fitted and evaluated."""

from ..registry import Registry
from .pixel import SPACES, PixelPrompt

__all__ = ["METHODS", "SPACES", "PixelPrompt"]

METHODS: Registry[type] = Registry("method")
METHODS.register("pixel", "one pixel prompt for every image, saved as a PNG")(PixelPrompt)
