"""Confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from .style import BLUE, GRAY, INK, ORANGE, clean, legend_above, plain_text, short

__all__ = ["Labels", "confusion", "confusion_figure", "draw_confusion", "draw_recalls"]

Labels = npt.NDArray[np.int64]
_MOST_CLASSES = 20
_SHARES = LinearSegmentedColormap.from_list("shares", [(0.15, 0.39, 0.66, 0.0), (0.15, 0.39, 0.66, 1.0)])
"""From nothing to blue, so that the page shows through where nothing was counted."""


def confusion(labels: Labels, guesses: Labels, num_classes: int) -> npt.NDArray[np.int64]:
    """Returns counts (K, K): rows are true classes, columns predicted ones."""
    counts = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(counts, (labels, guesses), 1)
    return counts


@plain_text
def confusion_figure(tables: Mapping[str, npt.NDArray[np.int64]], classes: Sequence[str]) -> Figure:
    """Draws counts (K, K) side by side, each under its name."""
    side = min(4.8, 2.6 + 0.22 * len(classes))
    figure = Figure(figsize=(side * len(tables) + 0.4, side + 0.4), layout="constrained")
    panels = figure.subplots(1, len(tables), squeeze=False)[0]
    for axes, (name, counts) in zip(panels, tables.items(), strict=True):
        draw_confusion(axes, counts, classes, name)
    return figure


def draw_confusion(axes: Axes, counts: npt.NDArray[np.int64], classes: Sequence[str], name: str) -> None:
    """Draws counts (K, K) as shares of each true class, with the numbers where there is room for them."""
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    axes.imshow(shares, cmap=_SHARES, vmin=0, vmax=1)
    accuracy = np.trace(counts) / max(1, counts.sum())
    axes.set_title(f"{name}: {accuracy:.1%} of {counts.sum()}", fontsize=10)
    axes.set(xlabel="predicted", ylabel="true")
    if len(classes) > _MOST_CLASSES:
        return
    names = [short(item) for item in classes]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    for row, column in np.argwhere(counts > 0):
        color = "white" if shares[row, column] > 0.5 else INK
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=7, color=color)


def draw_recalls(
    axes: Axes, tables: Sequence[npt.NDArray[np.int64]], classes: Sequence[str], names: Sequence[str]
) -> None:
    """Draws the share of each class that is right under one or two tables of counts (K, K), a row per class.

    Of more than twenty classes those are shown that change most.
    """
    recalls = [np.diag(counts) / np.maximum(1, counts.sum(1)) for counts in tables]
    change = np.abs(recalls[-1] - recalls[0])
    places = np.sort(np.argsort(-change, kind="stable")[:_MOST_CLASSES])
    rows = range(len(places))
    if len(recalls) == 2:
        axes.hlines(rows, recalls[0][places], recalls[1][places], color=GRAY, lw=1.4)
    # A ring, so that the dot of the same share lies inside it and not on it.
    styles: tuple[dict[str, Any], ...] = ({"color": ORANGE, "mfc": "none", "mew": 1.8, "ms": 9}, {"color": BLUE})
    for recall, name, style in zip(recalls, names, styles, strict=False):
        axes.plot(recall[places], rows, "o", label=short(name, 28), **style)
    axes.set_yticks(rows, [short(classes[index]) for index in places], fontsize=8)
    axes.set(xlim=(-0.03, 1.03), xlabel="right, share of the class")
    axes.invert_yaxis()
    clean(axes)
    legend_above(axes)
    if len(places) < len(classes):
        axes.set_ylabel(f"the {len(places)} of {len(classes)} classes that change most", fontsize=8)
