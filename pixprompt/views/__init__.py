"""Views: changes of images in a few numbers, each a prompt of its own. No torch import."""

from .catalogue import catalogue
from .pattern import PATTERNS, Color, Pattern
from .view import Patch, View, is_plain, view_name

__all__ = ["PATTERNS", "Color", "Patch", "Pattern", "View", "catalogue", "is_plain", "view_name"]
