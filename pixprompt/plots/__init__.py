"""Every picture that the tool draws: figures by kind of picture, and the two files of a run directory."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ..files import write_bytes
from .curves import Track, curves_figure, spending_figure, spent
from .heat import heat_overlay
from .ladder import Rung, ladder_figure
from .matrices import Labels, confusion, confusion_figure
from .preview import Preview, preview_figure
from .prompts import amplified, on_checkers
from .scatter import scatter_figure
from .style import Pixels, plain_text, to_svg

__all__ = [
    "Pixels",
    "Preview",
    "Rung",
    "Track",
    "amplified",
    "confusion",
    "confusion_figure",
    "curves_figure",
    "draw_confusions",
    "draw_curves",
    "draw_preview",
    "heat_overlay",
    "ladder_figure",
    "on_checkers",
    "scatter_figure",
    "spending_figure",
    "spent",
    "to_svg",
]


def draw_curves(path: Path, history: Sequence[Mapping[str, float]], rungs: Mapping[str, Mapping[str, Any]]) -> None:
    """Draws loss and accuracy by epoch, with the validation accuracy of the rungs without a prompt as lines."""
    _save(curves_figure(history, rungs), path)


def draw_confusions(
    path: Path, labels: Labels, before: Labels, after: Labels, classes: Sequence[str], names: tuple[str, str]
) -> None:
    """Draws the confusion of the test split, (N,) labels and guesses, twice under two names."""
    counts = [confusion(labels, guesses, len(classes)) for guesses in (before, after)]
    _save(confusion_figure(counts[0], counts[1], classes, names), path)


def draw_preview(path: Path, preview: Preview) -> None:
    """Draws the prompt, a few images before and after, and the confusion of the test split before and after."""
    _save(preview_figure(preview), path)


@plain_text
def _save(figure: Figure, path: Path) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    write_bytes(path, buffer.getvalue())
