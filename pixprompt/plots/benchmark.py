"""The figures of benchmarks: measured values with intervals, and published ones as hollow diamonds beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import BLUE, GRAY, GRID, INK, LINES, clean, plain_text, short

__all__ = ["Mark", "bars_figure", "dots_figure", "lines_figure", "scatter_figure"]

_PUBLISHED: dict[str, Any] = {"marker": "D", "mfc": "none", "ms": 5, "ls": "none"}


@dataclass(frozen=True)
class Mark:
    """One value.

    Attributes:
        panel: Where it is drawn.
        row: Its place within the panel.
        column: Gives its color.
        value: A share.
        interval: Of the value; equal ends for none.
        published: What a paper says; None for nothing.
        is_mean: Whether it is a mean over data sets.
    """

    panel: str
    row: str
    column: str
    value: float
    interval: tuple[float, float]
    published: float | None = None
    is_mean: bool = False


def _panels(marks: Sequence[Mark]) -> dict[str, list[Mark]]:
    panels: dict[str, list[Mark]] = {}
    for mark in marks:
        panels.setdefault(mark.panel, []).append(mark)
    return panels


def _legend(figure: Figure, axes: Axes, published: bool) -> None:
    handles, names = axes.get_legend_handles_labels()
    if published:
        handles += axes.plot([], [], color=GRAY, **_PUBLISHED)
        names.append("published, at the paper's scale")
    if len(names) > 1 or published:
        figure.legend(handles, names, loc="outside upper center", ncols=min(4, len(names)), frameon=False, fontsize=8.5)


@plain_text
def dots_figure(marks: Sequence[Mark], *, columns: Sequence[str], axis: str = "") -> Figure:
    """Draws a row per data set with a dot per method; means over data sets stand below a line."""
    panels = _panels(marks)
    rows = max(len({mark.row for mark in own}) for own in panels.values())
    step = 0.22 + 0.075 * len({mark.column for mark in marks})
    figure = Figure(figsize=(min(14, 2.4 + 4.6 * len(panels)), 1.3 + step * rows), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False, sharex=True)[0]
    for axes, (panel, own) in zip(grid, panels.items(), strict=True):
        names = list(dict.fromkeys(mark.row for mark in own))
        used = [column for column in columns if any(mark.column == column for mark in own)]
        for number, column in enumerate(used):
            color = LINES[list(columns).index(column) % len(LINES)]
            shift = (number - (len(used) - 1) / 2) * 0.7 / max(1, len(used))
            for mark in (mark for mark in own if mark.column == column):
                y = names.index(mark.row) + shift
                axes.plot(mark.interval, [y, y], color=color, lw=1.4, alpha=0.6)
                axes.plot(mark.value, y, "o", color=color, ms=4.5)
                if mark.published is not None:
                    axes.plot(mark.published, y, color=color, **_PUBLISHED)
            axes.plot([], [], "o", color=color, label=column)
        means = [names.index(mark.row) for mark in own if mark.is_mean]
        if means and len(means) < len(own):
            axes.axhline(min(means) - 0.5, color=GRAY, lw=0.8)
        for place in range(1, len(names)):
            axes.axhline(place - 0.5, color=GRID, lw=0.6, zorder=0)
        axes.set_yticks(range(len(names)), [short(name, 34) for name in names])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel("test accuracy, with its 95% interval")
        axes.set_title(panel, fontsize=10)
        clean(axes)
        axes.grid(axis="y", visible=False)
    _legend(figure, grid[0], any(mark.published is not None for mark in marks))
    return figure


@plain_text
def bars_figure(marks: Sequence[Mark], *, columns: Sequence[str], axis: str = "") -> Figure:
    """Draws the values of the last column as bars, largest first."""
    own = sorted((mark for mark in marks if mark.column == columns[-1]), key=lambda mark: -mark.value)
    figure = Figure(figsize=(7, 1.2 + 0.34 * len(own)), layout="constrained")
    axes = figure.subplots()
    for row, mark in enumerate(own):
        axes.barh(row, mark.value, color=GRAY if mark.is_mean else BLUE, height=0.6)
        axes.plot(mark.interval, [row, row], color=INK, lw=1)
        if mark.published is not None:
            axes.plot(mark.published, row, color=INK, **_PUBLISHED)
    axes.set_yticks(range(len(own)), [short(mark.row, 34) for mark in own])
    axes.invert_yaxis()
    axes.axvline(0, color=GRAY, lw=0.8)
    axes.set_xlabel(axis or columns[-1])
    clean(axes)
    axes.grid(axis="y", visible=False)
    _legend(figure, axes, any(mark.published is not None for mark in own))
    return figure


@plain_text
def lines_figure(marks: Sequence[Mark], *, columns: Sequence[str], axis: str = "") -> Figure:
    """Draws a line per method over what is varied, on a logarithmic axis where its values are far apart."""
    panels = _panels(marks)
    figure = Figure(figsize=(min(14, 2.2 + 4.4 * len(panels)), 4.2), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    names = list(dict.fromkeys(mark.row for mark in marks))
    values = [_value(name) for name in names]
    numeric = all(value is not None for value in values)
    places = {name: value if numeric and value is not None else place
              for place, (name, value) in enumerate(zip(names, values, strict=True))}  # fmt: skip
    for axes, (panel, own) in zip(grid, panels.items(), strict=True):
        for number, column in enumerate(columns):
            line = sorted((mark for mark in own if mark.column == column), key=lambda mark: places[mark.row])
            color, at = LINES[number % len(LINES)], [places[mark.row] for mark in line]
            if not line:
                continue
            axes.fill_between(at, *zip(*(mark.interval for mark in line), strict=True), color=color, alpha=0.12, lw=0)
            axes.plot(at, [mark.value for mark in line], "o-", color=color, ms=4.5, label=column)
            pairs = [(places[mark.row], mark.published) for mark in line if mark.published is not None]
            if pairs:
                axes.plot(*zip(*pairs, strict=True), color=color, **_PUBLISHED)
        if numeric and min(places.values()) > 0 and max(places.values()) > 20 * min(places.values()):
            axes.set_xscale("log")
        axes.set_xticks(list(places.values()), [short(name, 18) for name in places], fontsize=8)
        axes.minorticks_off()
        if not numeric and max(map(len, names)) > 8:
            axes.tick_params(axis="x", rotation=30)
        axes.set(xlabel=axis, title=panel)
        axes.title.set_fontsize(10)
        clean(axes)
    grid[0].set_ylabel("test accuracy, with its 95% interval")
    _legend(figure, grid[0], any(mark.published is not None for mark in marks))
    return figure


def _value(name: str) -> float | None:
    try:
        return float(name.rstrip("%"))
    except ValueError:
        return None


@plain_text
def scatter_figure(panels: Mapping[str, Sequence[tuple[float, Mark]]], *, y: str) -> Figure:
    """Draws a panel per column across, with a named point per row, its interval and the line of least squares."""
    figure = Figure(figsize=(min(14, 1.5 + 4.6 * len(panels)), 4.2), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (across, points) in zip(grid, panels.items(), strict=True):
        for x, mark in points:
            axes.plot([x, x], mark.interval, color=BLUE, lw=1.4, alpha=0.6)
            axes.plot(x, mark.value, "o", color=BLUE)
            place = (x, mark.value)
            axes.annotate(short(mark.row, 24), place, (6, 4), textcoords="offset points", fontsize=8, color=INK)
        firsts, seconds = np.array([[x, mark.value] for x, mark in points] or [[0, 0]]).T
        if len(points) > 2 and np.ptp(firsts) > 0:
            slope, start = np.polyfit(firsts, seconds, 1)
            ends = np.array([firsts.min(), firsts.max()])
            axes.plot(ends, slope * ends + start, color=GRAY, lw=1)
        axes.margins(x=0.2)
        axes.set_xlabel(across)
        clean(axes)
    grid[0].set_ylabel(y)
    return figure
