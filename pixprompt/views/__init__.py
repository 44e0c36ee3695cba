"""Views: changes of images in a few numbers, each a prompt of its own. No torch import."""

from .catalogue import catalogue
from .pattern import PATTERNS, Color, Pattern
from .view import Patch, View, view_name

__all__ = ["PATTERNS", "Color", "Patch", "Pattern", "View", "catalogue", "view_name"]
