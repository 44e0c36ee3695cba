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
from .style import GREY, LINES, bare, plain_text, short

__all__ = ["Cloud", "points_figure"]

Points = npt.NDArray[np.float64]
_NAMED = 20
_MARKERS = "osD^vP"
_MOST_COLUMNS = 4


@dataclass(frozen=True, eq=False)
class Cloud:
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
def points_figure(clouds: Sequence[Cloud], labels: Labels, classes: Sequence[str], *, note: str = "") -> Figure:
    """Draws panels of points, at most four in a row, one colour and sign per true class.

    Args:
        clouds: The panels, of the same N images; at least one.
        labels: (N,) positions in `classes`.
        classes: K names.
        note: Above all: how the points were placed.
    """
    columns = min(len(clouds), _MOST_COLUMNS)
    rows = math.ceil(len(clouds) / columns)
    figure = Figure(figsize=(4.9 * columns, 4.5 * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, cloud in zip(panels, clouds, strict=False):
        _draw(axes, cloud, labels, classes)
    for axes in panels[len(clouds) :]:
        axes.remove()
    if note:
        figure.suptitle(note, fontsize=8, color=GREY)
    handles, names = panels[0].get_legend_handles_labels()
    if len(names) <= _NAMED:
        fitting = min(10, 4 * columns, len(names))
        figure.legend(handles, names, loc="outside lower center", ncols=fitting, frameon=False, fontsize=8)
    return figure


def _draw(axes: Axes, cloud: Cloud, labels: Labels, classes: Sequence[str]) -> None:
    for place, label in enumerate(np.unique(labels)):
        chosen = cloud.points[labels == label]
        marker = _MARKERS[place // len(LINES) % len(_MARKERS)]
        color = LINES[place % len(LINES)]
        axes.scatter(chosen[:, 0], chosen[:, 1], s=13, marker=marker, color=color, lw=0, label=short(classes[label]))
    bare(axes, cloud.title)
    if cloud.caption:
        axes.set_xlabel(cloud.caption, fontsize=8)
    axes.set_aspect("equal", adjustable="datalim")
