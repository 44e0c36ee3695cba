"""Figures as views. matplotlib is imported where one is drawn, so that a light install shows all the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .environment import svg_uri
from .views import View

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["chart"]


def chart(draw: Callable[[], Figure], alt: str) -> View:
    """Draws a figure as SVG; `alt` says what it shows to those who do not see it."""
    try:
        from ...plots import to_svg

        return {"uri": svg_uri(to_svg(draw())), "alt": alt, "missing": None}
    except ModuleNotFoundError as error:
        return {"uri": None, "alt": alt, "missing": f"{error.name} is missing: pip install {error.name}"}
