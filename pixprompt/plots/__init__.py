"""Every picture that the tool draws: figures by kind of picture, and the two files of a run directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .curves import Track, curves_figure, queries_of, spending_figure
from .heat import heat_key, heat_overlay
from .ladder import Rung, ladder_figure
from .matrices import Labels, confusion, confusion_figure
from .png import save_png
from .preview import Preview, preview_figure
from .prompts import amplified, color_key, is_empty, on_checkers
from .scatter import PointPanel, points_figure
from .style import Pixels, to_svg

__all__ = [
    "Labels",
    "Pixels",
    "PointPanel",
    "Preview",
    "Rung",
    "Track",
    "amplified",
    "color_key",
    "confusion",
    "confusion_figure",
    "curves_figure",
    "draw_curves",
    "draw_preview",
    "heat_key",
    "heat_overlay",
    "is_empty",
    "ladder_figure",
    "on_checkers",
    "points_figure",
    "queries_of",
    "save_png",
    "spending_figure",
    "to_svg",
]


def draw_curves(path: Path, history: Sequence[Mapping[str, float]], rungs: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes loss and accuracy by epoch as a PNG, with the validation accuracy without a prompt as lines."""
    save_png(curves_figure(history, rungs), path, dpi=100)


def draw_preview(path: Path, preview: Preview) -> None:
    """Writes the prompt, a few images before and after, and the test split class by class as a PNG."""
    save_png(preview_figure(preview), path, dpi=100)
