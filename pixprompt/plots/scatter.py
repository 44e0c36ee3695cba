"""Features or answers as points in the plane, in panels side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .matrices import Labels
from .style import GRAY, LINES, bare, plain_text, short

__all__ = ["PointPanel", "points_figure"]

Points = npt.NDArray[np.float64]
_MOST_NAMES = 20
_MARKERS = "osD^vP"
_MOST_COLUMNS = 4


@dataclass(frozen=True, eq=False)
class PointPanel:
    """One panel.

    Attributes:
        title: Above it.
        points: (N, 2).
        caption: Below it.
    """

    title: str
    points: Points
    caption: str = ""


@plain_text
def points_figure(panels: Sequence[PointPanel], labels: Labels, classes: Sequence[str], *, note: str = "") -> Figure:
    """Draws panels of points, at most four in a row, one colour and sign per true class.

    Args:
        panels: The panels, of the same N images; at least one.
        labels: (N,) positions in `classes`.
        classes: K names.
        note: Above all: how the points were placed.
    """
    columns = min(len(panels), _MOST_COLUMNS)
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(4.9 * columns, 4.5 * rows + 0.5), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, panel in zip(grid, panels, strict=False):
        _draw(axes, panel, labels, classes)
    for axes in grid[len(panels) :]:
        axes.remove()
    if note:
        figure.suptitle(note, fontsize=8, color=GRAY)
    handles, names = grid[0].get_legend_handles_labels()
    if len(names) <= _MOST_NAMES:
        fitting = min(10, 4 * columns, len(names))
        figure.legend(handles, names, loc="outside lower center", ncols=fitting, frameon=False, fontsize=8)
    return figure


def _draw(axes: Axes, panel: PointPanel, labels: Labels, classes: Sequence[str]) -> None:
    for place, label in enumerate(np.unique(labels)):
        points = panel.points[labels == label]
        marker = _MARKERS[place // len(LINES) % len(_MARKERS)]
        color = LINES[place % len(LINES)]
        axes.scatter(points[:, 0], points[:, 1], s=13, marker=marker, color=color, lw=0, label=short(classes[label]))
    bare(axes, panel.title)
    if panel.caption:
        axes.set_xlabel(panel.caption, fontsize=8)
    axes.set_aspect("equal", adjustable="datalim")
