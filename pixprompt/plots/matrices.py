"""Confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from .style import INK, plain_text, short

__all__ = ["Labels", "confusion", "confusion_figure", "draw_confusion"]

Labels = npt.NDArray[np.int64]
_SHOWN_CLASSES = 20
_SHARES = LinearSegmentedColormap.from_list("shares", [(0.15, 0.39, 0.66, 0.0), (0.15, 0.39, 0.66, 1.0)])
"""From nothing to blue, so that the page shows through where nothing was counted."""


def confusion(labels: Labels, guesses: Labels, num_classes: int) -> npt.NDArray[np.int64]:
    """Returns counts (K, K): rows are true classes, columns predicted ones."""
    counts = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(counts, (labels, guesses), 1)
    return counts


@plain_text
def confusion_figure(
    before: npt.NDArray[np.int64],
    after: npt.NDArray[np.int64],
    classes: Sequence[str],
    names: tuple[str, str] = ("without prompt", "with prompt"),
) -> Figure:
    """Draws the counts (K, K) without and with a prompt, or whatever `names` says, side by side."""
    side = min(4.8, 2.6 + 0.22 * len(classes))
    figure = Figure(figsize=(2 * side + 0.5, side + 0.4), layout="constrained")
    for axes, counts, name in zip(figure.subplots(1, 2), (before, after), names, strict=True):
        draw_confusion(axes, counts, classes, name)
    return figure


def draw_confusion(axes: Axes, counts: npt.NDArray[np.int64], classes: Sequence[str], name: str) -> None:
    """Draws counts (K, K) as shares of each true class, with the numbers where there is room for them."""
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    axes.imshow(shares, cmap=_SHARES, vmin=0, vmax=1)
    accuracy = np.trace(counts) / max(1, counts.sum())
    axes.set_title(f"{name}: {accuracy:.1%} of {counts.sum()} test images", fontsize=10)
    axes.set(xlabel="predicted", ylabel="true")
    if len(classes) > _SHOWN_CLASSES:
        return
    names = [short(item) for item in classes]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    for row, column in np.argwhere(counts > 0):
        color = "white" if shares[row, column] > 0.5 else INK
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=7, color=color)
