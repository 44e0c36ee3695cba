"""Answers as points in the plane, before and after."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from .matrices import Labels
from .style import LINES, bare, plain_text, short

__all__ = ["scatter_figure"]

_NAMED = 20
_MARKERS = "osD^vP"


@plain_text
def scatter_figure(
    before: npt.NDArray[np.float64], after: npt.NDArray[np.float64], labels: Labels, classes: Sequence[str]
) -> Figure:
    """Draws points (N, 2) without and with a prompt, one colour and sign per true class."""
    figure = Figure(figsize=(9.8, 5.0), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, points, name in zip(panels, (before, after), ("without prompt", "with prompt"), strict=True):
        for place, label in enumerate(np.unique(labels)):
            chosen = points[labels == label]
            marker = _MARKERS[place // len(LINES) % len(_MARKERS)]
            axes.scatter(
                *chosen.T, s=13, marker=marker, color=LINES[place % len(LINES)], lw=0, label=short(classes[label])
            )
        bare(axes, name)
        axes.set_aspect("equal", adjustable="datalim")
    handles, names = panels[0].get_legend_handles_labels()
    if len(names) <= _NAMED:
        figure.legend(handles, names, loc="outside lower center", ncols=min(10, len(names)), frameon=False, fontsize=8)
    return figure
