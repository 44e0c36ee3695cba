"""Learning curves: by epoch, or by queries where there are no epochs; accuracy against what was spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .style import BLUE, GREY, LINES, ORANGE, clean, plain_text, short

__all__ = ["Track", "curves_figure", "spending_figure", "spent"]

_NAMES = {"no_prompt": "no prompt", "output_only": "no prompt, best output transform"}
Line = Mapping[str, float]


@dataclass(frozen=True)
class Track:
    """How one run's accuracy grew.

    Attributes:
        name: Of the run.
        queries: Images asked so far, ascending.
        accuracy: On the validation split, as many.
        price: Of 1000 queries, or None.
    """

    name: str
    queries: Sequence[float]
    accuracy: Sequence[float]
    price: float | None = None


def spent(line: Line) -> float | None:
    """Returns the queries that a line of history was reached with, whichever engine wrote it."""
    return line.get("queries", line.get("images"))


@plain_text
def curves_figure(history: Sequence[Line], rungs: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draws loss and accuracy by epoch or by queries, with the rungs without a prompt as lines."""
    figure = Figure(figsize=(9.8, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    by_epoch = all("epoch" in line for line in history)
    for axes, what in ((left, "loss"), (right, "accuracy")):
        for split, color in (("train", BLUE), ("val", ORANGE)):
            key = f"{split}_{what}"
            known = [line for line in history if line.get(key) is not None]
            if known or not history:
                places = [line["epoch"] if by_epoch else spent(line) or 0 for line in known]
                axes.plot(places, [line[key] for line in known], "o-", ms=3, color=color, label=split)
        axes.set(xlabel="epoch" if by_epoch else "queries", ylabel=what)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        clean(axes)
    for name, style in (("no_prompt", ":"), ("output_only", "--")):
        if name in rungs and rungs[name]["val"] is not None:
            right.axhline(rungs[name]["val"], color=GREY, ls=style, lw=1.2, label=f"{_NAMES[name]} (val)")
    right.set_ylim(0, 1.02)
    for axes, size in ((left, "medium"), (right, "small")):
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=size)
    return figure


@plain_text
def spending_figure(tracks: Sequence[Track]) -> Figure:
    """Draws validation accuracy against queries, and against money where every run has a price."""
    priced = all(track.price is not None for track in tracks)
    figure = Figure(figsize=(9.8 if priced else 7.2, 3.8), layout="constrained")
    panels = figure.subplots(1, 2 if priced else 1, squeeze=False, sharey=True)[0]
    _draw_tracks(panels[0], tracks, [1.0] * len(tracks), "queries (images asked)")
    panels[0].set_ylabel("validation accuracy")
    if priced:
        _draw_tracks(panels[1], tracks, [(track.price or 0.0) / 1000 for track in tracks], "cost")
    if len(tracks) > 1:
        panels[0].legend(frameon=False, fontsize="small")
    return figure


def _draw_tracks(axes: Axes, tracks: Sequence[Track], units: Sequence[float], label: str) -> None:
    for index, (track, unit) in enumerate(zip(tracks, units, strict=True)):
        places = [queries * unit for queries in track.queries]
        axes.plot(
            places, track.accuracy, "o-", ms=3, lw=1.4, color=LINES[index % len(LINES)], label=short(track.name, 28)
        )
    axes.set(xlabel=label, ylim=(0, 1.02))
    axes.set_xlim(left=0)
    clean(axes)
