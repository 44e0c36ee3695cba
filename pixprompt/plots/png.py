"""Figures as PNG files of their own."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.figure import Figure

from ..files import write_bytes
from .style import plain_text

__all__ = ["save_png"]

_DPI = 150
"""Fine enough for a slide."""


@plain_text
def save_png(figure: Figure, path: Path, *, dpi: int = _DPI) -> None:
    """Writes a figure as a PNG; no earlier content is half replaced.

    Raises:
        PixpromptError: It cannot be written.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    write_bytes(path, buffer.getvalue())
