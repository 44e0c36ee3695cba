"""Learning curves: by epoch, or by queries where there are no epochs; accuracy against what was spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .style import BLUE, GRAY, LINES, ORANGE, clean, legend_above, plain_text, short

__all__ = ["Track", "curves_figure", "queries_of", "spending_figure"]

_RUNGS = {"no_prompt": ("no prompt (val)", ":"), "output_only": ("no prompt, best output (val)", "--")}
_PANELS = ("loss", "accuracy")
Line = Mapping[str, float]


@dataclass(frozen=True)
class Track:
    """How the accuracy of one run grew.

    Attributes:
        queries: Images queried so far, ascending.
        accuracy: On the validation split, as many values, in [0, 1].
        price: Of 1000 queries, or None.
    """

    name: str
    queries: Sequence[float]
    accuracy: Sequence[float]
    price: float | None = None


def queries_of(line: Line) -> float | None:
    """Returns the queries that a line of history was reached with, by gradients ("images") or by answers."""
    return line.get("queries", line.get("images"))


@plain_text
def curves_figure(
    history: Sequence[Line], rungs: Mapping[str, Mapping[str, Any]], panels: Sequence[str] = _PANELS
) -> Figure:
    """Draws loss and accuracy by epoch or by queries, with the validation accuracy without a prompt as lines.

    Args:
        history: Lines of `history.jsonl`.
        rungs: Rung -> {"val": accuracy}; of these "no_prompt" and "output_only" are drawn.
        panels: "loss", "accuracy" or both.
    """
    figure = Figure(figsize=(4.9 * len(panels), 3.8), layout="constrained")
    by_epoch = all("epoch" in line for line in history)
    for axes, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for split, color in (("train", BLUE), ("val", ORANGE)):
            lines = [line for line in history if line.get(f"{split}_{name}") is not None]
            if lines or not history:
                places = [line["epoch"] if by_epoch else queries_of(line) or 0 for line in lines]
                values = [line[f"{split}_{name}"] for line in lines]
                axes.plot(places, values, "o-", ms=3, color=color, label=split)
        axes.set(xlabel="epoch" if by_epoch else "queries", ylabel=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if name == "accuracy":
            axes.set_ylim(0, 1.02)
            for rung, (title, style) in _RUNGS.items():
                if rungs.get(rung, {}).get("val") is not None:
                    axes.axhline(rungs[rung]["val"], color=GRAY, ls=style, lw=1.4, label=title)
        clean(axes)
        legend_above(axes)
    return figure


@plain_text
def spending_figure(tracks: Sequence[Track], *, by_cost: bool = False) -> Figure:
    """Draws validation accuracy against queries, or against money, which takes a price of every run."""
    figure = Figure(figsize=(4.9, 3.8), layout="constrained")
    axes = figure.subplots()
    for index, track in enumerate(tracks):
        unit = (track.price or 0.0) / 1000 if by_cost else 1.0
        places, color = [queries * unit for queries in track.queries], LINES[index % len(LINES)]
        axes.plot(places, track.accuracy, "o-", ms=3, lw=1.4, color=color, label=short(track.name, 28))
    axes.set(xlabel="cost" if by_cost else "queries (images)", ylabel="validation accuracy", ylim=(0, 1.02))
    axes.set_xlim(left=0)
    clean(axes)
    if len(tracks) > 1:
        legend_above(axes)
    return figure
