"""Figures as PNG files of their own."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.figure import Figure

from ..files import write_bytes
from .style import plain_text

__all__ = ["save_png"]

_DPI = 150


@plain_text
def save_png(figure: Figure, path: Path) -> None:
    """Writes a figure as a PNG, fine enough for a slide; no earlier content is half replaced.

    Raises:
        PixpromptError: It cannot be written.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    write_bytes(path, buffer.getvalue())
